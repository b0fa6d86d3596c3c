import { providersHealth } from './health.ts';
import type { Answer, Call, Running } from './types.ts';

/** `GET /healthz`: the process lives. Asks nothing of anybody. */
export async function showHealth(running: Running): Promise<Answer> {
  return { status: 200, body: { status: 'ok', version: running.version } };
}

/**
 * `GET /readyz`: whether to send traffic here. 503 while draining or where the books cannot be read.
 * It lists the providers' health as well, but an outage of theirs fails nothing: routing goes round it, and taking this process
 * out of service would mend nothing.
 */
export async function showReadiness(running: Running): Promise<Answer> {
  const { catalog } = running.settings;
  const operators = await running.credentials.operatorProviders();
  const isServed = running.sandbox !== undefined || [...catalog.providers.keys()].some((id) => operators.has(id));
  const checks = [
    { name: 'accepting', ok: !running.isDraining(), detail: running.isDraining() ? 'draining' : 'yes' },
    { name: 'books', ok: true, detail: await running.ledger.note('schema').then(() => 'readable') },
    // BYOK alone is a way of running, so a missing operator key is told but fails nothing.
    { name: 'operator keys', ok: true, detail: isServed ? 'present' : 'none: only BYOK requests can be served' },
  ];
  const isReady = checks.every((check) => check.ok);
  return {
    status: isReady ? 200 : 503,
    body: { status: isReady ? 'ready' : 'not ready', checks, providers: providersHealth(catalog, running.health, operators, running.clock.nowMs()) },
    ...(isReady ? {} : { headers: { 'retry-after': '5' } }),
  };
}

/** `GET /`: a line for humans. */
export async function showWelcome(running: Running, call: Call): Promise<Answer> {
  return { status: 200, body: `findtoken ${running.version} is running. OpenAI base URL: ${running.settings.server.publicUrl}/v1 (request ${call.id})\n` };
}
