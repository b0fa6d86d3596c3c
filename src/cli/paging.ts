import type { Given, OptionSpec } from './command.ts';
import type { Context } from './context.ts';

/** Of every list that goes on. */
export const AFTER: OptionSpec = { flags: '--after <next>', about: 'go on behind the page that ended with this `next`' };

/** Where a list begins; nothing for its beginning. */
export function afterOf(given: Given): { readonly after?: string } {
  const after = given.text('after');
  return after === undefined ? {} : { after };
}

/** Tells people that a list goes on; programs read `next`. */
export function noteMore({ terminal, json }: Pick<Context, 'terminal' | 'json'>, next: string | undefined): void {
  if (next !== undefined && !json && terminal.width !== undefined) terminal.note(`There are more: the same with \`--after ${next}\`.`);
}
