import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import t from 'tap';
import { runCommand } from './support/process.ts';

const page = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const noSystemd = spawnSync('systemd-analyze', ['--version']).status === 0 ? false : 'there is no systemd-analyze';
const place = mkdtempSync(join(tmpdir(), 'findtoken-install-'));
t.teardown(() => rmSync(place, { recursive: true, force: true }));

/** What `service install --print` writes, in a file by its name. */
function unitFile(...args: string[]): { readonly file: string; readonly text: string } {
  const { code, stdout: text, stderr } = runCommand(place, ['service', 'install', '--print', '--kind', 'systemd', ...args]);
  if (code !== 0) throw new Error(stderr);
  const file = join(place, 'findtoken.service');
  writeFileSync(file, text);
  return { file, text };
}

const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' });

for (const scope of [[], ['--system']]) {
  const name = scope.length === 0 ? 'a user\'s service' : 'the machine\'s service';
  t.test(`systemd finds nothing against ${name}`, { skip: noSystemd }, async (t) => {
    const { file, text } = unitFile(...scope);
    // The manual page comes with a package that is not installed here.
    t.match(analyze('verify', '--man=no', file), { status: 0, stdout: '', stderr: '' });
    writeFileSync(file, text.replace('Restart=on-failure', 'Restart=sometimes'));
    t.match(analyze('verify', '--man=no', file).stderr, /sometimes/, 'and it does look');
  });
}

t.test('the machine\'s service is shut in', { skip: noSystemd }, async (t) => {
  const { file, text } = unitFile('--system');
  const judged = analyze('security', '--offline=true', '--threshold=25', file);
  t.equal(judged.status, 0, 'its exposure is at most 2.5 of 10', { diagnostic: judged.status !== 0, out: judged.stdout });
  t.match(judged.stdout, /Overall exposure level for findtoken\.service: [012]\.\d OK/);
  writeFileSync(file, text.replace(/^(Protect|Private|Restrict|Capability).*\n/gm, ''));
  t.not(analyze('security', '--offline=true', '--threshold=25', file).status, 0, 'and it does look');
});

t.test('the machine\'s service needs nothing of the home of who installs it', async (t) => {
  const { text } = unitFile('--system');
  t.notMatch(text.replace(/^ExecStart=.*$/m, ''), place);
  writeFileSync(join(place, 'findtoken.yaml'), 'database: { path: /srv/findtoken/books.db, anchors: /mnt/anchors }\n');
  const { stdout } = runCommand(place, ['--json', 'service', 'install', '--system', '--dry-run', '--kind', 'systemd']);
  const { unit, next }: { readonly unit: string; readonly next: readonly string[] } = JSON.parse(stdout);
  t.match(unit, '\nReadWritePaths=/srv/findtoken /mnt/anchors\n', 'folders elsewhere are opened');
  t.match(unit, / serve --config \/etc\/findtoken\/findtoken\.yaml\n/, 'its settings are a copy');
  t.ok(next.some((line) => line.startsWith('sudo install -D -o root -g findtoken -m 0640 ') && line.endsWith('/findtoken.yaml /etc/findtoken/findtoken.yaml')), 'which is made first', { next });
  t.ok(next.includes('sudo mkdir -p /srv/findtoken && sudo chown -R findtoken:findtoken /srv/findtoken'), 'and the folders', { next });
});

t.test('the service manager waits for as long as requests may take to end', async (t) => {
  const config = join(place, 'patient.yaml');
  writeFileSync(config, 'server: { drain: 10m }\n');
  for (const [kind, usual, patient] of [['systemd', /^TimeoutStopSec=150$/m, /^TimeoutStopSec=630$/m], ['launchd', /<key>ExitTimeOut<\/key>\s*<integer>150</, /<key>ExitTimeOut<\/key>\s*<integer>630</]] as const) {
    const print = (...args: string[]) => runCommand(place, ['service', 'install', '--print', '--kind', kind, ...args]).stdout;
    writeFileSync(join(place, 'usual.yaml'), '');
    t.match(print('--config', join(place, 'usual.yaml')), usual, kind);
    t.match(print('--config', config), patient, kind);
  }
});

t.test('what is to be typed after it can be typed again, when the user is there', async (t) => {
  const { stdout } = runCommand(place, ['--json', 'service', 'install', '--system', '--dry-run', '--kind', 'systemd']);
  const { next }: { readonly next: readonly string[] } = JSON.parse(stdout);
  const ran = (user: string) => spawnSync('sh', ['-c', `sudo() { echo "$1"; [ "$1" != useradd ] || [ ${user} = missing ]; }; id() { [ ${user} = there ]; }; ${next.join(' && ')}`], { encoding: 'utf8' });
  t.match(ran('missing'), { status: 0, stdout: /^useradd\n[^]*systemctl\nsystemctl\n$/ });
  t.match(ran('there'), { status: 0, stdout: /systemctl\nsystemctl\n$/ });
  t.notMatch(ran('there').stdout, 'useradd');
});

t.test('what is to be typed after it means one path by one word, whatever stands in it', async (t) => {
  const folder = join(place, "Ann's things");
  mkdirSync(folder);
  const config = join(folder, 'findtoken.yaml');
  writeFileSync(config, 'database: { path: "/srv/my books/findtoken.db", anchors: /mnt/anchors }\n');
  const { stdout } = runCommand(place, ['--json', '--config', config, 'service', 'install', '--system', '--dry-run', '--kind', 'systemd']);
  const { next }: { readonly next: readonly string[] } = JSON.parse(stdout);
  const words = (line: string) => spawnSync('sh', ['-c', `sudo() { printf '%s\\n' "$@"; }; ${line}`], { encoding: 'utf8' }).stdout.split('\n');
  t.ok(next.some((line) => words(line).includes(config)), 'the settings', { next });
  t.ok(next.some((line) => words(line).filter((word) => word === '/srv/my books').length === 2), 'the folder that is made, and given away', { next });
});

t.test('a linter finds nothing against the image', async (t) => {
  const text = page('docs/docker/Dockerfile');
  t.same(validate(text), []);
  t.match(validate(text.replace(/^ENTRYPOINT .*$/m, '$&\n$&')), [{ message: /ENTRYPOINT/ }], 'and it does look');
});

t.test('the image is built in two stages, runs as nobody\'s user, and tells its health', async (t) => {
  const lines = page('docs/docker/Dockerfile').replace(/\\\n\s*/g, ' ').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const stages = lines.join('\n').split(/^(?=FROM )/m);
  t.equal(stages.length, 2);
  const [build = '', run = ''] = stages;
  const words = lines.map((line) => line.split(' ')[0] ?? '');
  t.same(words.filter((word) => !['FROM', 'WORKDIR', 'ENV', 'COPY', 'RUN', 'VOLUME', 'USER', 'EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'].includes(word)), [], 'no ADD, no MAINTAINER, nothing unknown');
  for (const [, image = ''] of lines.join('\n').matchAll(/^FROM (\S+)/gm)) t.match(image, /:(?!latest$)\S+$/, `${image} names its version`);
  t.match(build, /^RUN npm ci --ignore-scripts/m, 'no package runs a script');
  t.notMatch(run, /npm|node /, 'no Node and no npm where it runs');
  t.match(run, /^USER (?!0\b|root)\d+:\d+$/m, 'a number, so that an orchestrator sees that it is not root');
  t.ok(run.indexOf('\nUSER ') < run.indexOf('\nENTRYPOINT '), 'before it starts');
  t.match(run, /^HEALTHCHECK .*\n? *.*\/healthz/m);
  t.match(run, /^ENTRYPOINT \["findtoken"\]$/m, 'no shell between, so that signals arrive');
  t.match(run, /^CMD \["serve", "--host", "0\.0\.0\.0"\]$/m);
  t.match(run, /^COPY --from=build \/src\/dist\/findtoken\.NOTICES\.txt /m, 'the licences come along');
  const ignored = page('docs/docker/Dockerfile.dockerignore').split('\n');
  t.ok(ignored.includes('*'), 'only what is named is sent to the builder');
  for (const name of ['.git', 'node_modules', 'test', 'docs', 'findtoken.yaml']) t.notOk(ignored.includes(`!${name}`), `${name} is not`);
  for (const name of ['package.json', 'package-lock.json', '.ci', 'bin', 'config', 'src', 'findtoken.example.yaml', 'LICENSE']) t.ok(ignored.includes(`!${name}`), `${name} is, for the build reads it`);
});
