import type { OptionSpec } from '../command.ts';
import { entriesOf, flagsOf, GLOBAL_OPTIONS, takesValue, valueOf } from './tree.ts';
import type { Entry, Tree } from './tree.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Values that an argument or option may have, by the name between the brackets. */
export interface KnownValues {
  readonly tool: readonly string[];
  readonly shell: readonly string[];
}

/** A completion script for a shell, made from the command tree alone: it runs no findtoken while somebody types. */
export function completionScript(shell: Shell, tree: Tree, known: KnownValues): string {
  switch (shell) {
    case 'bash': return bash(tree, known);
    case 'zsh': return zsh(tree, known);
    case 'fish': return fish(tree, known);
  }
}

interface Node {
  readonly path: string;
  readonly words: readonly string[];
  readonly options: readonly OptionSpec[];
}

/** The root, each noun and each command, with what may follow it. */
function nodesOf(tree: Tree, known: KnownValues): readonly Node[] {
  const entries = entriesOf(tree);
  const nouns = tree.flatMap((one) => ('run' in one ? [] : [{ path: one.name, words: one.verbs.map(({ usage }) => wordOf(usage)), options: [] }]));
  const root = { path: '', words: tree.map((one) => ('run' in one ? wordOf(one.usage) : one.name)), options: [{ flags: '--version', about: 'print the version' }] };
  return [root, ...nouns, ...entries.map((entry) => ({ path: entry.path, words: argumentsOf(entry, known), options: entry.options }))];
}

function bash(tree: Tree, known: KnownValues): string {
  const cases = nodesOf(tree, known).map(({ path, words, options }) => `    '${path}') words="${[...words, ...[...options, ...GLOBAL_OPTIONS].flatMap(flagsOf), '--help'].join(' ')}" ;;`);
  const values = valuesOf(tree).map(([path, flag, words]) => `    '${path} ${flag}') COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$current")); return ;;`);
  return `# bash completion for findtoken. In ~/.bashrc: source <(findtoken completion bash)
_findtoken() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' word index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    [[ "$word" == -* ]] && continue
    case "\${path:+$path }$word" in
      ${nodesOf(tree, known).flatMap(({ path }) => (path === '' ? [] : [`'${path}'`])).join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path $previous" in
${values.join('\n')}
  esac
  case "$previous" in
    ${fileFlags(tree).join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    ${valueFlags(tree).join('|')}) COMPREPLY=(); return ;;
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _findtoken findtoken
`;
}

function zsh(tree: Tree, known: KnownValues): string {
  const described = (words: readonly (readonly [string, string])[]) => words.map(([word, about]) => zshQuoted(`${word.replaceAll(':', '\\:')}:${about}`)).join(' ');
  const cases = nodesOf(tree, known).map(({ path, words, options }) => {
    const about = new Map(aboutOf(tree));
    const shown = words.map((word) => [word, about.get(path === '' ? word : `${path} ${word}`) ?? ''] as const);
    const flags = [...options, ...GLOBAL_OPTIONS].flatMap((option) => flagsOf(option).map((flag) => [flag, option.about] as const));
    return `    '${path}') words=(${described(shown)}) flags=(${described([...flags, ['--help', 'print the help']])}) ;;`;
  });
  const values = valuesOf(tree).map(([path, flag, choices]) => `    '${path} ${flag}') compadd -- ${choices.join(' ')}; return ;;`);
  return `#compdef findtoken
# zsh completion for findtoken. In ~/.zshrc: source <(findtoken completion zsh)
_findtoken() {
  local -a words_before=("\${words[@]}") words flags
  local at=$CURRENT entry='' word index
  for ((index = 2; index < at; index++)); do
    word="\${words_before[index]}"
    [[ "$word" == -* ]] && continue
    case "\${entry:+$entry }$word" in
      ${nodesOf(tree, known).flatMap(({ path }) => (path === '' ? [] : [`'${path}'`])).join('|')}) entry="\${entry:+$entry }$word" ;;
    esac
  done
  case "$entry \${words_before[at-1]}" in
${values.join('\n')}
  esac
  case "\${words_before[at-1]}" in
    ${fileFlags(tree).join('|')}) _files; return ;;
  esac
  case "$entry" in
${cases.join('\n')}
  esac
  if [[ "\${words_before[at]}" == -* ]]; then _describe option flags; elif (( \${#words} )); then _describe command words; else _files; fi
}
compdef _findtoken findtoken
`;
}

function fish(tree: Tree, known: KnownValues): string {
  const entries = entriesOf(tree);
  const nouns = tree.flatMap((one) => ('run' in one ? [] : [one]));
  const firsts = tree.map((one) => ('run' in one ? ([wordOf(one.usage), one.brief ?? one.about] as const) : ([one.name, one.about] as const)));
  const line = (condition: string, rest: string) => `complete -c findtoken ${condition === '' ? '' : `-n ${fishQuoted(condition)} `}${rest}`;
  const seen = (path: string) => path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
  const option = (condition: string, one: OptionSpec) => {
    const forms = flagsOf(one).map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ');
    const value = takesValue(one) ? (isFile(one) ? ' -r -F' : wordsOf(one) === undefined ? ' -x' : ` -x -a ${fishQuoted((wordsOf(one) ?? []).join(' '))}`) : '';
    return line(condition, `${forms}${value} -d ${fishQuoted(one.about)}`);
  };
  return [
    '# fish completion for findtoken: findtoken completion fish > ~/.config/fish/completions/findtoken.fish',
    'complete -c findtoken -f',
    ...firsts.map(([word, about]) => line('__fish_use_subcommand', `-a ${word} -d ${fishQuoted(about)}`)),
    ...nouns.flatMap(({ name, verbs }) => verbs.map(({ usage, about, brief }) =>
      line(`__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${verbs.map((verb) => wordOf(verb.usage)).join(' ')}`, `-a ${wordOf(usage)} -d ${fishQuoted(brief ?? about)}`))),
    ...entries.flatMap((entry) => [
      ...argumentsOf(entry, known).map((word) => line(seen(entry.path), `-a ${word}`)),
      ...(/<file>/.test(entry.usage) ? [line(seen(entry.path), '-F')] : []),
      ...entry.options.map((one) => option(seen(entry.path), one)),
    ]),
    ...GLOBAL_OPTIONS.map((one) => option('', one)),
    '',
  ].join('\n');
}

function wordOf(usage: string): string {
  return usage.split(' ')[0] ?? usage;
}

function argumentsOf({ usage }: Entry, known: KnownValues): readonly string[] {
  if (/[<[]tool[\]>]/.test(usage)) return known.tool;
  return /[<[]shell[\]>]/.test(usage) ? known.shell : [];
}

function everyOption(tree: Tree): readonly OptionSpec[] {
  return [...entriesOf(tree).flatMap(({ options }) => options), ...GLOBAL_OPTIONS];
}

/** What a value may be, of each flag of each command: one name means different things of two. */
function valuesOf(tree: Tree): readonly (readonly [path: string, flag: string, words: readonly string[]])[] {
  return entriesOf(tree).flatMap(({ path, options }) => options.flatMap((option) => {
    const words = wordsOf(option);
    return words === undefined ? [] : flagsOf(option).map((flag) => [path, flag, words] as const);
  }));
}

function wordsOf({ choices, offers }: OptionSpec): readonly string[] | undefined {
  return choices ?? offers;
}

function valueFlags(tree: Tree): readonly string[] {
  const known = new Set(fileFlags(tree));
  return [...new Set(everyOption(tree).filter(takesValue).flatMap(flagsOf))].filter((flag) => !known.has(flag));
}

function fileFlags(tree: Tree): readonly string[] {
  return [...new Set(everyOption(tree).filter(isFile).flatMap(flagsOf))];
}

function isFile(option: OptionSpec): boolean {
  return valueOf(option) === 'file';
}

function aboutOf(tree: Tree): readonly (readonly [string, string])[] {
  return [...tree.flatMap((one) => ('run' in one ? [] : [[one.name, one.about] as const])), ...entriesOf(tree).map(({ path, brief }) => [path, brief] as const)];
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
