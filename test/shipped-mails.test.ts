// The program as it is shipped, with a mail server beside it that speaks TLS: the other tests of mails speak in the clear.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import t from 'tap';
import { openDesk } from './support/command-line.ts';
import { startServe } from './support/process.ts';

const noOpenssl = spawnSync('openssl', ['version']).status === 0 ? false : 'there is no openssl to make a certificate with';

t.test('a mail leaves through TLS, to a server whose authority is ours alone, with a password', { skip: noOpenssl, timeout: 60_000 }, async (t) => {
  const desk = openDesk(t);
  const [keyFile, certFile] = [join(desk.home, 'key.pem'), join(desk.home, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'ignore' });
  const heard: { readonly isSecure: boolean; readonly user: string; readonly to: readonly string[]; readonly text: string }[] = [];
  for (const secure of [false, true]) {
    const server = new SMTPServer({
      secure, key: readFileSync(keyFile), cert: readFileSync(certFile), logger: false, disableReverseLookup: true,
      onAuth: (auth, _session, done) => (auth.password === 'p:w@rd' ? done(null, { user: auth.username }) : done(new Error('bad credentials'))),
      onData(stream, session, done) {
        const parts: Buffer[] = [];
        stream.on('data', (part: Buffer) => parts.push(part));
        stream.on('end', () => {
          heard.push({ isSecure: session.secure, user: String(session.user), to: session.envelope.rcptTo.map(({ address }) => address), text: Buffer.concat(parts).toString() });
          done();
        });
      },
    });
    server.on('error', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { port } = server.server.address() as AddressInfo;
    const to = secure ? 'smtps@example.com' : 'starttls@example.com';
    writeFileSync(join(desk.home, 'findtoken.yaml'), JSON.stringify({ server: { port: 0 }, email: { smtp: `${secure ? 'smtps' : 'smtp'}://ann:p%3Aw%40rd@localhost:${port}` } }));
    await desk.json('accounts', 'create', to, '--pending');

    const distrustful = await startServe(desk.home);
    t.teardown(() => distrustful.end('SIGKILL'));
    while (!distrustful.output().includes('mail_failed')) await once(distrustful.child.stderr ?? distrustful.child, 'data');
    t.match(distrustful.output(), /"problem":"E[A-Z]+: self-signed certificate/, 'an authority that nobody named is not believed');
    t.equal(heard.length, secure ? 1 : 0, 'and hears no password');
    await distrustful.end('SIGTERM');

    const another = secure ? 'smtps-2@example.com' : 'starttls-2@example.com';
    await desk.json('accounts', 'create', another, '--pending');
    const daemon = await startServe(desk.home, [], { NODE_EXTRA_CA_CERTS: certFile });
    t.teardown(() => daemon.end('SIGKILL'));
    while (!daemon.output().includes('mail_sent')) await once(daemon.child.stderr ?? daemon.child, 'data');
    t.match(heard.at(-1), { isSecure: true, user: 'ann', to: [another], text: /Activate your findtoken account/ });
    t.equal(await daemon.end('SIGTERM'), 0);
  }
});

t.test('where no public_url is written, links bear the port that was taken, with workers too', { timeout: 60_000 }, async (t) => {
  for (const server of [{ port: 0 }, { port: 0, workers: 2 }, { port: 0, public_url: 'https://ft.example.com/here' }]) {
    const desk = openDesk(t);
    writeFileSync(join(desk.home, 'findtoken.yaml'), JSON.stringify({ server, registration: { open: true } }));
    const daemon = await startServe(desk.home);
    t.teardown(() => daemon.end('SIGKILL'));
    const told = 'public_url' in server ? server.public_url : daemon.url;
    t.match(await (await fetch(daemon.url)).text(), `base URL: ${told}/v1`, JSON.stringify(server));
    t.match(await (await fetch(`${daemon.url}/openapi.json`)).json(), { servers: [{ url: told }] });
    const asked = await fetch(`${daemon.url}/v1/auth/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"email":"zoe@example.com"}' });
    t.equal(asked.status, 202);
    const { out } = await desk.run(['mail', 'list', '--text']);
    const [link = ''] = /http\S+\/activate\?token=\S+/.exec(out) ?? [];
    t.ok(link.startsWith(`${told}/activate?`), link);
    if (!('public_url' in server)) t.equal((await fetch(link, { method: 'POST', headers: { origin: new URL(link).origin, 'content-type': 'application/x-www-form-urlencoded' } })).status, 200, 'and the page behind it does its work');
    t.equal(await daemon.end('SIGTERM'), 0);
  }
});
