import type { CatalogParts } from '../catalog/index.ts';
import { SettingsError } from './refusal.ts';
import type { Settings } from './types.ts';

export interface LoadOptions {
  /** `--config FILE`: must exist. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  /** What the command line sets; it wins over the file. */
  readonly overrides?: { readonly host?: string | undefined; readonly port?: number | undefined; readonly sandbox?: boolean | undefined } | undefined;
  /** Added to the built-in catalogue while the sandbox is on. */
  readonly sandboxCatalog?: CatalogParts | undefined;
}

export function loadSettings(options: LoadOptions): Settings {
  throw new SettingsError(`not read yet: ${options.cwd}`);
}

export function checkSettings(settings: Settings): void {
  if (settings.catalog.models.size === 0) throw new SettingsError('no models');
}
