export interface Quirks {
  readonly streamOptions: boolean;
}

export const QUIRKS = {
  openai: { streamOptions: true },
} as const satisfies Record<string, Quirks>;
