export type { MasterKeySource, SettingOrigin, Settings } from './types.ts';
export { checkSettings, loadSettings } from './load.ts';
export type { LoadOptions } from './load.ts';
export { maskedSettings } from './masked.ts';
export { SettingsError } from './refusal.ts';
export { describeSettings } from './table.ts';
export type { SettingRow } from './table.ts';
