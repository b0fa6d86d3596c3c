import type { SettingOrigin, Settings } from './types.ts';

/**
 * Every setting as `config show` prints it: as written, in the order of the documentation, secrets masked, and where each came from.
 * Provider keys stand behind them, those that are not set left out, and at the end what the file lays over the built-in catalogue.
 * Settings made by hand know no origins and give none.
 */
export function maskedSettings(settings: Settings): readonly SettingOrigin[] {
  return [...(settings.origins ?? []), ...(settings.overlaid ?? [])];
}
