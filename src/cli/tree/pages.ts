import type { OptionSpec } from '../command.ts';
import { entriesOf, GLOBAL_OPTIONS, sentence } from './tree.ts';
import type { Entry, Tree } from './tree.ts';

const EXIT_CODES = [
  ['0', 'done'],
  ['1', 'failed'],
  ['2', 'wrong usage'],
  ['3', 'not found'],
  ['70', 'serve: a bug'],
  ['74', 'serve: the books failed'],
  ['130', 'interrupted'],
] as const;

const VARIABLES = [
  ['FINDTOKEN_CONFIG', 'the settings file, where --config names none'],
  ['FINDTOKEN_API_KEY', 'the key that `chat` calls with'],
  ['FINDTOKEN_MASTER_KEY', 'the master key, where secrets.master_key is auto and nothing is recorded yet'],
  ['NO_COLOR', 'no colours'],
] as const;

/**
 * The manual page in roff: `findtoken man | man -l -`.
 * @param about `day` is what stands in its foot, such as 2026-11-27
 */
export function manPage(tree: Tree, about: { readonly version: string; readonly summary: string; readonly day: string }): string {
  const option = ({ flags, about: text }: OptionSpec) => `.TP\n.B ${roff(flags)}\n${roff(text)}`;
  const command = (entry: Entry) => [
    `.SS ${roff(`findtoken ${entry.usage}`)}`,
    roff(sentence(entry.about)),
    ...entry.options.map(option),
    '.PP',
    ...entry.examples.flatMap((example) => ['.nf', `.RS 4\n$ ${roff(example)}\n.RE`, '.fi']),
  ].join('\n');
  return [
    `.TH FINDTOKEN 1 "${roff(about.day)}" "findtoken ${roff(about.version)}" "User Commands"`,
    '.SH NAME',
    `findtoken \\- ${roff(about.summary)}`,
    '.SH SYNOPSIS',
    '.B findtoken\n.I command\n[\\fIoptions\\fR]',
    '.SH COMMANDS',
    ...entriesOf(tree).map(command),
    '.SH OPTIONS OF EVERY COMMAND',
    ...GLOBAL_OPTIONS.map(option),
    '.SH EXIT STATUS',
    ...EXIT_CODES.map(([code, text]) => `.TP\n.B ${code}\n${text}`),
    '.SH ENVIRONMENT',
    ...VARIABLES.map(([name, text]) => `.TP\n.B ${name}\n${roff(text)}`),
    '.SH FILES',
    '.TP\n.I findtoken.yaml\nthe settings: in the working folder, else in $XDG_CONFIG_HOME/findtoken',
    '',
  ].join('\n');
}

/**
 * docs/cli.md, whole.
 * @param about `json`: by the name of a command, the fields of what it prints with --json
 */
export function markdownPage(tree: Tree, about: { readonly summary: string; readonly json: Readonly<Record<string, string>> }): string {
  const option = ({ flags, about: text, required, choices }: OptionSpec) =>
    `| \`${flags.replaceAll('|', '\\|')}\` | ${cell(text)}${choices === undefined ? '' : `: ${choices.map((one) => `\`${one}\``).join(', ')}`}${required === true ? ' (needed)' : ''} |`;
  const table = (options: readonly OptionSpec[]) => ['| option | does |', '| --- | --- |', ...options.map(option)].join('\n');
  const command = (entry: Entry) => [
    `### \`findtoken ${entry.usage}\``,
    sentence(entry.about),
    ...(entry.options.length === 0 ? [] : [table(entry.options)]),
    `\`\`\`sh\n${entry.examples.join('\n')}\n\`\`\``,
    ...(about.json[entry.path] === undefined ? [] : [`With \`--json\`: \`${about.json[entry.path]}\``]),
  ].join('\n\n');
  return `${[
    '# The command line',
    '<!-- Made from the command tree by the tests (DOCS=write npx tap test/cli-setup.test.ts writes it anew): change the commands, not this page. -->',
    `${about.summary} Every command works on the same database, whether the daemon runs or not; a running daemon honours a change with its next request.`,
    'Data goes to stdout, talk to stderr. On a terminal people get tables that fit it, in a pipe tab-separated lines; with `--json` one document with the field names of the [HTTP API](http.md) (`serve` and `logs --follow`: in one line each). The fields stand below each command; a later version may add some, and takes none away. Nothing prompts without a terminal, and no secret is ever an argument.',
    '## Options of every command',
    table(GLOBAL_OPTIONS),
    `Exit codes: ${EXIT_CODES.map(([code, text]) => `${code} ${text}`).join(' · ')}.`,
    '## Commands',
    ...entriesOf(tree).map(command),
  ].join('\n\n')}\n`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** A dash of an option is no hyphen, and a dot at the start of a line is no macro. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^([.'])/, '\\&$1');
}
