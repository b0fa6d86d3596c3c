import type { Verb } from '../command.ts';
import { Refusal } from '../failure.ts';
import { jsonText, printableLines } from '../printable.ts';
import { packageVersion } from '../version.ts';

const PORT_MAX = 65_535;
/** Why an address cannot be listened on, and the mend. */
const UNUSABLE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use; stop who uses it, or choose another with --port',
  EACCES: 'is not ours to take; choose a port above 1023 with --port',
  EADDRNOTAVAIL: 'is no address of this machine; choose another with --host',
  ENOTFOUND: 'has a name that nobody knows; choose an address of this machine with --host, such as 127.0.0.1',
  EAI_AGAIN: 'has a name whose address cannot be asked now; choose an address of this machine with --host, such as 127.0.0.1',
};
/** What of the system a listener asks, one process or several. The same codes from elsewhere are of files. */
const LISTENING: ReadonlySet<unknown> = new Set(['listen', 'bind', 'getaddrinfo']);

/** The daemon, in the foreground, until it is told to stop. */
export const SERVE: Verb = {
  usage: 'serve',
  about: 'run the gateway in the foreground',
  options: [
    { flags: '--host <address>', about: 'listen here instead of server.host' },
    { flags: '--port <number>', about: 'listen here instead of server.port; 0 takes a free one' },
    { flags: '--sandbox', about: 'add a provider that answers offline, with a key ready to use' },
    { flags: '--accept-rollback', about: 'serve from a database that is older than it was when it was last served' },
  ],
  examples: ['findtoken serve --sandbox', 'findtoken serve --host 0.0.0.0 --port 8080'],
  async run({ context, given }) {
    const { env, home, terminal } = context;
    const { isMember } = await import('../../crew/index.ts');
    if (isMember()) {
      const { serveForPrimary } = await import('../../daemon/index.ts');
      serveForPrimary({ env, home, version: packageVersion() });
      return context.leaveSignals();
    }
    const host = given.text('host');
    const port = given.whole('port', { least: 0, most: PORT_MAX });
    // Of its own each time: what a reload reads must be read anew.
    const read = () => context.settings({ host, port, sandbox: given.flag('sandbox') ? true : undefined });
    const settings = await read();
    const { startDaemon } = await import('../../daemon/index.ts');
    const daemon = await startDaemon({ settings, reload: read, acceptRollback: given.flag('accept-rollback'), env, home, version: packageVersion(), print: ({ text, document }) => terminal.print(context.json ? jsonText(document) : printableLines(text)) }).catch((error: unknown) => {
      throw cannotListen(error, settings.server);
    });
    // Not before the daemon listens for them itself: a Ctrl-C that is on its way while nobody does would be lost, and the daemon stay.
    context.leaveSignals();
    const exitCode = await daemon.stopped;
    if (exitCode !== 0) process.exitCode = exitCode;
  },
};

function cannotListen(error: unknown, { host, port }: { readonly host: string; readonly port: number }): unknown {
  const isOurs = error instanceof Error && 'code' in error && 'syscall' in error && LISTENING.has(error.syscall);
  const why = isOurs ? UNUSABLE[String(error.code)] : undefined;
  return why === undefined ? error : new Refusal(`${host}:${port} ${why}.`);
}
