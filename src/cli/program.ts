import { Command, CommanderError, Option } from 'commander';
import type { Argument } from 'commander';
import { Given } from './command.ts';
import type { Call, Noun, Verb } from './command.ts';
import { ACCOUNTS } from './commands/accounts.ts';
import { AUDIT } from './commands/audit.ts';
import { BACKUP, RESTORE } from './commands/backup.ts';
import { BALANCE } from './commands/balance.ts';
import { BYOK } from './commands/byok.ts';
import { CATALOG } from './commands/catalog.ts';
import { CHAT } from './commands/chat.ts';
import { CONFIG } from './commands/config.ts';
import { CONNECT } from './commands/connect.ts';
import { COST } from './commands/cost.ts';
import { CREDITS } from './commands/credits.ts';
import { DOCTOR } from './commands/doctor.ts';
import { EXPLAIN } from './commands/explain.ts';
import { INIT } from './commands/init.ts';
import { KEYS } from './commands/keys.ts';
import { LOGS } from './commands/logs.ts';
import { MAIL } from './commands/mail.ts';
import { MODELS } from './commands/models.ts';
import { pageVerbs } from './commands/pages.ts';
import { PROVIDERS } from './commands/providers.ts';
import { RECHARGE } from './commands/recharge.ts';
import { RECHARGES } from './commands/recharges.ts';
import { RELOAD } from './commands/reload.ts';
import { ROTATE } from './commands/rotate.ts';
import { SERVE } from './commands/serve.ts';
import { SERVICE } from './commands/service.ts';
import { STATEMENT } from './commands/statement.ts';
import { STATS } from './commands/stats.ts';
import { STATUS } from './commands/status.ts';
import { EXPORT } from './commands/export.ts';
import { TRANSFERS } from './commands/transfers.ts';
import { USAGE } from './commands/usage.ts';
import { wrongUsage } from './failure.ts';
import { STDOUT, writeAll } from './terminal.ts';
import { GLOBAL_OPTIONS, sentence } from './tree/tree.ts';
import { packageVersion } from './version.ts';

/** What the program is, in a sentence. */
export const ABOUT = 'An OpenAI-compatible gateway to several LLM providers, with prepaid credits and exact billing.';

/** The commands by what one wants of them, in the order of the help. A noun has verbs; a verb stands alone. */
const GROUPS: readonly (readonly [heading: string, tree: readonly (Noun | Verb)[]])[] = [
  ['Start', [INIT, SERVE, CONNECT, CHAT]],
  ['Look', [STATUS, STATS, LOGS, USAGE, BALANCE, EXPORT, STATEMENT, TRANSFERS, MAIL]],
  ['Accounts, keys and credits', [ACCOUNTS, KEYS, BYOK, CREDITS, RECHARGE, RECHARGES]],
  ['Models and providers', [MODELS, COST, EXPLAIN, PROVIDERS, CATALOG]],
  ['Operate', [CONFIG, RELOAD, DOCTOR, AUDIT, BACKUP, RESTORE, ROTATE, SERVICE]],
  ['Shell', pageVerbs(() => COMMANDS, ABOUT)],
];

export const COMMANDS: readonly (Noun | Verb)[] = GROUPS.flatMap(([, tree]) => tree);

const ROOT_EXAMPLES = ['findtoken init', 'findtoken serve --sandbox', 'findtoken keys create --name laptop'];
/** What becomes of a call; `main` gives it a context. */
export type Runner = (verb: Verb, call: Omit<Call, 'context'>, globals: Given) => Promise<void>;

/**
 * Reads a command line and runs its command.
 * @throws Refusal (exit 2) on a command line that is wrong; whatever the command throws.
 */
export async function runCommandLine(argv: readonly string[], run: Runner): Promise<void> {
  const [node = '', script = '', first, asked] = argv;
  if (first === 'help' && asked !== undefined && !asked.startsWith('-')) {
    // Commander's own would print all of the help about a word that is no command, and knows none of two words.
    if (COMMANDS.every((one) => nameOf(one) !== asked)) throw wrongUsage(`unknown command '${asked}'. \`findtoken --help\` lists the commands.`);
    return runCommandLine([node, script, ...argv.slice(3), '--help'], run);
  }
  const program = buildProgram(run, treeFor(argv));
  if (argv.length <= 2) {
    program.outputHelp();
    return;
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version were asked for, and are printed.
    if (error.exitCode === 0) return;
    if (error.code === 'commander.help') throw wrongUsage(missingVerb(argv.slice(2)));
    throw wrongUsage(`${oneLine(error.message)} ${helpHint(argv.slice(2))}`);
  }
}

/** A line that begins with a command needs that command alone, a question for the version none; every other one, such as a request for help or a slip, needs them all. */
function treeFor([, , first]: readonly string[]): readonly (Noun | Verb)[] {
  if (first === '--version') return [];
  const named = COMMANDS.find((one) => nameOf(one) === first);
  return named === undefined ? COMMANDS : [named];
}

function buildProgram(run: Runner, tree: readonly (Noun | Verb)[]): Command {
  const program = new Command('findtoken')
    .description(ABOUT)
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print the help')
    .usage('<command> [options]')
    .configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map(argumentText)].join(' ') })
    // Commander's own message, and the help that it prints where a command is missing, reach nobody: `main` prints one line for every failure.
    .configureOutput({ outputError: () => undefined, writeErr: () => undefined, writeOut: (text) => writeAll(STDOUT, text) })
    .exitOverride()
    .addHelpText('after', examplesText(ROOT_EXAMPLES));
  for (const { flags, about } of GLOBAL_OPTIONS) program.option(flags, about);
  if (tree === COMMANDS) program.addHelpCommand(new Command('help').argument('[command]').description('print the help, or that of a command').helpGroup('Shell:'));
  for (const one of tree) {
    const heading = `${GROUPS.find(([, all]) => all.includes(one))?.[0] ?? ''}:`;
    if ('run' in one) {
      addVerb(program, one, run).helpGroup(heading);
      continue;
    }
    const noun = program.command(one.name).description(sentence(one.about)).summary(one.about).helpGroup(heading).usage('<command> [options]');
    noun.helpCommand('help [command]', 'print the help of a command');
    noun.addHelpText('after', examplesText(one.verbs.flatMap(({ examples }) => examples.slice(0, 1)).slice(0, 3)));
    for (const verb of one.verbs) addVerb(noun, verb, run);
  }
  return program;
}

function addVerb(parent: Command, verb: Verb, run: Runner): Command {
  const command = parent.command(verb.usage).description(sentence(verb.about)).summary(verb.brief ?? verb.about).addHelpText('after', examplesText(verb.examples));
  for (const { flags, about, required, choices } of verb.options ?? []) {
    const option = new Option(flags, about);
    if (choices !== undefined) option.choices(choices);
    command.addOption(option.makeOptionMandatory(required === true));
  }
  command.action(async () => {
    const args = command.processedArgs.map((arg: unknown) => (typeof arg === 'string' ? arg : undefined));
    await run(verb, { args, given: new Given(command.opts()) }, new Given(command.optsWithGlobals()));
  });
  return command;
}

function argumentText(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

function examplesText(examples: readonly string[]): string {
  return `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map((line) => `  $ ${line}`).join('\n')}`;
}

/** "error: unknown option '--foo'\n(Did you mean --for?)" becomes a sentence with its mend. */
function oneLine(message: string): string {
  const line = message.replace(/^error:\s*/, '').replace(/\s*\n\s*/g, ' ').trim();
  return `${line}${/[.?)]$/.test(line) ? '' : '.'}`;
}

/** A line without a command, or with the first word of one alone. */
function missingVerb(words: readonly string[]): string {
  const noun = COMMANDS.find((one) => !('run' in one) && words.includes(one.name));
  if (noun === undefined || 'run' in noun) return 'a command is missing. `findtoken --help` lists the commands.';
  return `${noun.name} needs a command: ${noun.verbs.map(nameOf).join(', ')}. \`findtoken ${noun.name} --help\` tells of them.`;
}

/** Where the words that were probably meant stand: with the command, as far as there is one. */
function helpHint(words: readonly string[]): string {
  const first = COMMANDS.find((one) => words.includes(nameOf(one)));
  if (first === undefined) return '`findtoken --help` lists the commands.';
  if ('run' in first) return `\`findtoken ${nameOf(first)} --help\` shows how it is used.`;
  const verb = first.verbs.find((one) => words.includes(nameOf(one)));
  return verb === undefined ? `\`findtoken ${first.name} --help\` lists its commands.` : `\`findtoken ${first.name} ${nameOf(verb)} --help\` shows how it is used.`;
}

function nameOf(one: Noun | Verb): string {
  return 'run' in one ? (one.usage.split(' ')[0] ?? '') : one.name;
}
