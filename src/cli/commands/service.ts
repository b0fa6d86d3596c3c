import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { configHome, makeFolder, whyNot } from '../../disk.ts';
import { isEmbedded } from '../../embedded/index.ts';
import { confirm } from '../ask.ts';
import type { Call, Noun } from '../command.ts';
import type { Context } from '../context.ts';
import { Refusal, wrongUsage } from '../failure.ts';
import { shellWord } from '../format.ts';
import { printable } from '../printable.ts';
import type { Unit } from '../service/units.ts';

export const SERVICE: Noun = {
  name: 'service',
  about: 'the daemon as a service of the system',
  verbs: [
    {
      usage: 'install',
      about: 'write a hardened systemd unit, or a launchd plist on macOS; says the commands that start it, and runs none',
      options: [
        { flags: '--system', about: 'for the machine, run by a user of its own (default: for you)' },
        { flags: '--print', about: 'print the unit and write nothing' },
        { flags: '--dry-run', about: 'say what would be written and what to run' },
        { flags: '--kind <kind>', about: 'systemd or launchd (default: that of this machine)', choices: ['systemd', 'launchd'] },
      ],
      examples: ['findtoken service install', 'findtoken service install --system --print'],
      run: install,
    },
  ],
};

/** Where the machine's service finds its settings. */
const SYSTEM_CONFIG = '/etc/findtoken/findtoken.yaml';

interface Plan {
  readonly file: string;
  readonly text: string;
  /** What starts it. */
  readonly next: readonly string[];
}

async function install({ context, given }: Call): Promise<void> {
  if (given.flag('print') && given.flag('dry-run')) throw wrongUsage('--print and --dry-run exclude each other; give one.');
  const kind = given.text('kind') ?? (process.platform === 'darwin' ? 'launchd' : 'systemd');
  const plan = await planOf(context, { kind, isSystem: given.flag('system') });
  const document = { object: 'service', kind, file: plan.file, written: !given.flag('print') && !given.flag('dry-run'), unit: plan.text, next: plan.next };
  if (given.flag('print')) return context.show(document, () => plan.text.trimEnd());
  if (given.flag('dry-run')) return context.show(document, () => [`would write ${plan.file}`, ...plan.next.map((line) => `then run     ${line}`)].map(printable).join('\n'));
  if (existsSync(plan.file) && readFileSync(plan.file, 'utf8') !== plan.text) await confirm(context, `Replace ${plan.file}?`);
  write(plan);
  context.show(document, () => printable(plan.file));
  context.terminal.note(`Next: ${plan.next.join(' && ')}`);
}

async function planOf(context: Context, { kind, isSystem }: { readonly kind: string; readonly isSystem: boolean }): Promise<Plan> {
  const { launchdPlist, systemdUnit } = await import('../service/units.ts');
  const settings = await context.settings();
  const { home } = context;
  const keyFile = settings.secrets.masterKey.kind === 'file' ? settings.secrets.masterKey.path : join(home, '.config', 'findtoken', 'master.key');
  const [, program] = process.argv;
  if (program === undefined) throw new Refusal('where findtoken is installed is not known; run it by its path.');
  const { path: database, anchors } = settings.database;
  const runtime = isEmbedded() ? { node: undefined, program: process.execPath } : { node: process.execPath, program: resolve(program) };
  const unit = { ...runtime, config: settings.file, writes: [...new Set([dirname(database), anchors, dirname(keyFile)])], home, drainMs: settings.server.drainMs };
  if (kind === 'launchd') {
    const file = isSystem ? '/Library/LaunchDaemons/dev.findtoken.plist' : join(home, 'Library', 'LaunchAgents', 'dev.findtoken.plist');
    return { file, text: launchdPlist(unit), next: [isSystem ? `sudo launchctl bootstrap system ${file}` : `launchctl bootstrap gui/$(id -u) ${file}`] };
  }
  if (!isSystem) {
    return { file: join(configHome(context.env['XDG_CONFIG_HOME'], home), 'systemd', 'user', 'findtoken.service'), text: systemdUnit(unit, 'user'), next: ['systemctl --user daemon-reload', 'systemctl --user enable --now findtoken', 'loginctl enable-linger'] };
  }
  return systemPlan(unit, systemdUnit);
}

/**
 * The service has a user and a home of its own, which systemd makes: what would lie under the home of whoever installs it lies
 * there instead, and of a file in that home it gets a copy, for it could not read the first.
 */
function systemPlan(unit: Unit, write: (unit: Unit, scope: 'system') => string): Plan {
  const isOurs = (path: string) => path.startsWith(`${unit.home}/`);
  const writes = unit.writes.filter((path) => !isOurs(path));
  const copied = unit.config !== undefined && isOurs(unit.config) ? unit.config : undefined;
  return {
    file: '/etc/systemd/system/findtoken.service',
    text: write({ ...unit, writes, config: copied === undefined ? unit.config : SYSTEM_CONFIG }, 'system'),
    next: [
      'id findtoken >/dev/null 2>&1 || sudo useradd --system --home-dir /var/lib/findtoken --shell /usr/sbin/nologin findtoken',
      ...(copied !== undefined ? [`sudo install -D -o root -g findtoken -m 0640 ${shellWord(copied)} ${SYSTEM_CONFIG}`] : []),
      ...writes.map((path) => `sudo mkdir -p ${shellWord(path)} && sudo chown -R findtoken:findtoken ${shellWord(path)}`),
      'sudo systemctl daemon-reload',
      'sudo systemctl enable --now findtoken',
    ],
  };
}

function write({ file, text }: Plan): void {
  try {
    makeFolder(dirname(file), 0o755);
    writeFileSync(file, text, { mode: 0o644 });
  } catch (error) {
    throw new Refusal(`${file} cannot be written: ${whyNot(file, error) ?? String(error)}; use sudo, or --print and put it there yourself.`);
  }
}
