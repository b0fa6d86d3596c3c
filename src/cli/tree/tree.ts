import type { Noun, OptionSpec, Verb } from '../command.ts';

/** One command as a page, a completion or a document shows it. */
export interface Entry {
  /** `keys create`, without arguments. */
  readonly path: string;
  /** `keys create <name>` with its arguments. */
  readonly usage: string;
  readonly about: string;
  /** For one line of a list. */
  readonly brief: string;
  readonly options: readonly OptionSpec[];
  readonly examples: readonly string[];
}

export type Tree = readonly (Noun | Verb)[];

/** Options that every command takes. Declared here once: the parser, the pages and the completions read them. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '--config <file>', about: 'read this findtoken.yaml' },
  { flags: '--json', about: 'print JSON, with the field names of the HTTP API' },
  { flags: '--account <email>', about: 'whose account; needed where there are several' },
  { flags: '--yes', about: 'do not ask before something is destroyed' },
  { flags: '--no-color', about: 'no colours (NO_COLOR is honoured too)' },
];

/** What a command does as a sentence, where it stands alone: `list the keys` is `List the keys.` */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** Every command, in the order of the help. */
export function entriesOf(tree: Tree): readonly Entry[] {
  return tree.flatMap((one) => ('run' in one ? [entryOf(one, '')] : one.verbs.map((verb) => entryOf(verb, `${one.name} `))));
}

/** `--key <id>` is `--key`; `-m, --message <text>` is both. */
export function flagsOf({ flags }: OptionSpec): readonly string[] {
  return flags.split(/,\s*/).map((flag) => flag.replace(/[ =].*$/, ''));
}

export function takesValue({ flags }: OptionSpec): boolean {
  return /[<[]/.test(flags);
}

/** The name of an option's value: `<file>` is `file`; undefined where it takes none. */
export function valueOf({ flags }: OptionSpec): string | undefined {
  return /[<[]([^\]>]+)[\]>]/.exec(flags)?.[1];
}

function entryOf(verb: Verb, prefix: string): Entry {
  const usage = `${prefix}${verb.usage}`;
  return { path: usage.replace(/ [<[].*$/, ''), usage, about: verb.about, brief: verb.brief ?? verb.about, options: verb.options ?? [], examples: verb.examples };
}
