import { userInfo } from 'node:os';
import { isAbsolute } from 'node:path';
import { isThere } from '../disk.ts';
import type { Ledger } from '../ledger/index.ts';
import type { LoadOptions, Settings } from '../settings/index.ts';
import { Refusal } from './failure.ts';
import { jsonText } from './printable.ts';
import type { Terminal } from './terminal.ts';

/** The books of one command, open for as long as it works. */
export interface Books {
  readonly ledger: Ledger;
  readonly settings: Settings;
  readonly nowMs: () => number;
}

/** What every command is handed: the terminal, the wishes of the command line, and the way to the books. */
export interface Context {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** `--config FILE`, as it was written. */
  readonly configFile: string | undefined;
  /** `--json` */
  readonly json: boolean;
  /** `--yes` */
  readonly yes: boolean;
  /** `--account EMAIL`, or an id. */
  readonly account: string | undefined;
  /** The settings as file, environment and command line make them; read once, unless the command line overrides some. */
  settings(overrides?: LoadOptions['overrides']): Promise<Settings>;
  /** Opens the books to read, and closes them after the work. @throws Refusal where there are none yet. */
  read<T>(work: (books: Books) => Promise<T>): Promise<T>;
  /** As `read`, but hands over undefined where there are no books yet, for what can be told without them. */
  readOrNone<T>(work: (books: Books | undefined) => Promise<T>): Promise<T>;
  /** Opens the books to write, and closes them after the work. @throws Refusal where there are none yet. */
  write<T>(work: (books: Books) => Promise<T>): Promise<T>;
  /** As `write`, but makes the books where they are missing, for what a first run begins with. */
  make<T>(work: (books: Books) => Promise<T>): Promise<T>;
  /** Prints one JSON document with `--json`, else what people read; nothing where that is nothing. */
  show(document: unknown, forPeople: () => string): void;
  /** Leaves SIGINT and SIGTERM to whoever works next (the daemon). */
  leaveSignals(): void;
}

export interface Wishes {
  readonly config: string | undefined;
  readonly json: boolean;
  readonly yes: boolean;
  readonly account: string | undefined;
}

/** Builds the context of one call; nothing is read or opened before it is asked for. */
export function openContext(parts: { readonly process: NodeJS.Process; readonly terminal: Terminal; readonly wishes: Wishes; readonly leaveSignals: () => void }): Context {
  const { process, terminal, wishes } = parts;
  const home = homeOf(process.env);
  const load: Context['settings'] = async (overrides) => {
    const { loadSettings } = await import('../settings/index.ts');
    const plain = { file: wishes.config, env: process.env, cwd: process.cwd(), home, overrides };
    const settings = loadSettings(plain);
    if (!settings.sandbox) return settings;
    // The sandbox is a whole provider: only who has it on waits for it.
    const { SANDBOX_CATALOG } = await import('../sandbox/index.ts');
    return loadSettings({ ...plain, sandboxCatalog: SANDBOX_CATALOG });
  };
  let loaded: Promise<Settings> | undefined;
  const settings: Context['settings'] = (overrides) => (overrides === undefined ? (loaded ??= load()) : load(overrides));
  const withBooks = async <T>(as: 'read' | 'write' | 'make', work: (books: Books) => Promise<T>): Promise<T> => {
    const known = await settings();
    const { path } = known.database;
    // A slip in --config or --account must not leave a database behind.
    if (as !== 'make' && !isThere(path)) {
      throw new Refusal(`there is no database at ${path} yet; make one with \`findtoken init\`, or try \`findtoken serve --sandbox\`.`);
    }
    const { openLedger } = await import('../ledger/index.ts');
    const ledger = await openLedger({
      path, as: as === 'read' ? 'read' : 'cli',
      onOlder: ({ schema, needed }) => terminal.note(`Bringing ${path} forward from schema ${schema} to ${needed}, which takes a while where it is large.`),
    });
    try {
      return await work({ ledger, settings: known, nowMs: () => Date.now() });
    } finally {
      await ledger.close();
    }
  };
  return {
    terminal,
    env: process.env,
    home,
    configFile: wishes.config,
    json: wishes.json,
    yes: wishes.yes,
    account: wishes.account,
    settings,
    readOrNone: async (work) => (isThere((await settings()).database.path) ? withBooks('read', work) : work(undefined)),
    read: (work) => withBooks('read', work),
    write: (work) => withBooks('write', work),
    make: (work) => withBooks('make', work),
    show: (document, forPeople) => {
      const text = wishes.json ? jsonText(document, terminal.width === undefined ? undefined : 2) : forPeople();
      if (text !== '') terminal.print(text);
    },
    leaveSignals: parts.leaveSignals,
  };
}

/**
 * The user's home: that of HOME, or where it is empty or says no place, that of the system's list of users.
 * @throws Refusal for a user who is in no list, as containers have them
 */
function homeOf(env: Context['env']): string {
  const told = env['HOME'] ?? '';
  if (isAbsolute(told)) return told;
  try {
    return userInfo().homedir;
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new Refusal(`HOME is not set, and user ${process.geteuid?.() ?? ''} is not in the system's list of users; set HOME to a folder of this user.`);
  }
}
