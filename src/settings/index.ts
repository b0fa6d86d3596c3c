export type { MasterKeySource, Settings } from './types.ts';
export { SettingsError } from './refusal.ts';
export { checkSettings, loadSettings } from './load.ts';
export type { LoadOptions } from './load.ts';
export { describeSettings } from './table.ts';
export type { SettingRow } from './table.ts';
export { maskedSettings } from './masked.ts';
export type { MaskedSetting } from './masked.ts';
