/** Fields on their way to a provider. */
export type Draft = Record<string, unknown>;

/** Leaves a field out by making it undefined: an object that lost a field is slow ever after. */
export function leaveOut(draft: Draft, name: string): void {
  if (draft[name] !== undefined) draft[name] = undefined;
}
