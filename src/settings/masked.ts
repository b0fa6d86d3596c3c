import type { Settings } from './types.ts';

export interface MaskedSetting {
  readonly path: string;
  readonly value: string;
  /** `default`, `findtoken.yaml:3:9`, `environment` or `command line`. */
  readonly origin: string;
}

export function maskedSettings(settings: Settings): readonly MaskedSetting[] {
  return settings.file === undefined ? [] : [];
}
