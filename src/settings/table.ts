/** One key of findtoken.yaml, as the documentation shows it. */
export interface SettingRow {
  readonly path: string;
  /** As one would write it. */
  readonly default: string;
  readonly expects: string;
  readonly example: string;
  readonly doc: string;
  readonly secret: boolean;
}

export function describeSettings(): readonly SettingRow[] {
  return [];
}
