import type { Context } from './context.ts';
import { wrongUsage } from './failure.ts';

/** One option of a command, as commander spells it: `--limit <n>`. */
export interface OptionSpec {
  readonly flags: string;
  readonly about: string;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  /** What a shell completes to, where other words are taken too. */
  readonly offers?: readonly string[];
}

/** One command. `usage` is its name and arguments: `create <email>`. */
export interface Verb {
  readonly usage: string;
  readonly about: string;
  /** For a list of all commands, where `about` is too long for one line. */
  readonly brief?: string;
  readonly options?: readonly OptionSpec[];
  /** Command lines that work as they stand; the help ends with them. */
  readonly examples: readonly string[];
  readonly run: (call: Call) => Promise<void>;
}

/** Commands about one kind of thing. */
export interface Noun {
  readonly name: string;
  readonly about: string;
  readonly verbs: readonly Verb[];
}

/** What a command is given. */
export interface Call {
  readonly context: Context;
  /** The arguments in order; an optional one that was left out is undefined. */
  readonly args: readonly (string | undefined)[];
  readonly given: Given;
}

/** The options of one call, read by name (`'min-tokens'` for `--min-tokens`). */
export class Given {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[camelCased(name)];
    return typeof value === 'string' ? value : undefined;
  }

  flag(name: string): boolean {
    return this.#values[camelCased(name)] === true;
  }

  /** Whether `--no-NAME` was written, for an option that has both forms. */
  isOff(name: string): boolean {
    return this.#values[camelCased(name)] === false;
  }

  /** A whole number within bounds. @throws Refusal (exit 2) that names the option */
  whole(name: string, bounds: { readonly least: number; readonly most: number }): number | undefined {
    const written = this.text(name);
    if (written === undefined) return undefined;
    const value = /^\d{1,15}$/.test(written) ? Number(written) : Number.NaN;
    if (value >= bounds.least && value <= bounds.most) return value;
    throw wrongUsage(`--${name} is a whole number from ${bounds.least} to ${bounds.most}, not ${JSON.stringify(written)}.`);
  }

  /** An option without which the command has no meaning; commander has refused its absence already. */
  needed(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw wrongUsage(`--${name} is needed.`);
    return value;
  }
}

/** An argument that commander has made sure of. */
export function argument(call: Call, index: number): string {
  const value = call.args[index];
  if (value === undefined) throw wrongUsage('an argument is missing; see --help.');
  return value;
}

function camelCased(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
