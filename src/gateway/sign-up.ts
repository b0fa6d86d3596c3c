import { activateByToken, isLinkToken, LINK_HOURS, readEmail, register } from '../accounts/index.ts';
import type { ActivationResult } from '../accounts/index.ts';
import { Fault } from '../faults.ts';
import { readBytes, readJson } from './body.ts';
import { SIGN_UP_FORM } from './forms.ts';
import { page } from './page.ts';
import type { Answer, Call, Running } from './types.ts';

const REGISTRATION_BYTES = 4_096;
const FORM_BYTES = 4_096;
const FORM = 'application/x-www-form-urlencoded';

/**
 * `POST /v1/auth/register` `{email}`: signs an address up. The answer is the same whether it is new, waiting or known.
 * @throws Fault 404 where registration is closed, 400 (form, address), 429.
 */
export async function signUp(running: Running, call: Call): Promise<Answer> {
  const { settings } = running;
  if (!settings.registration.open) {
    throw new Fault('not_found', { fill: { detail: 'Registration is closed here. Ask the operator for an account (`findtoken accounts create EMAIL`), or open it with registration.open: true.' } });
  }
  const body = await readJson(call, { ...settings.limits, bodyBytes: Math.min(REGISTRATION_BYTES, settings.limits.bodyBytes) }, { arriving: running.load.strangers, weigh: running.load.weigh });
  const email = readEmail(SIGN_UP_FORM.read(body).email);
  await running.signUps.enter({ email, remoteAddress: call.req.socket.remoteAddress });
  await register({ ledger: running.ledger, nowMs: () => running.clock.nowMs(), publicUrl: settings.server.publicUrl }, { email });
  const detail = `If the address can be signed up, a mail with an activation link is on its way. The link works for ${LINK_HOURS} hours.`;
  return { status: 202, body: { object: 'registration', status: 'accepted', detail }, billing: { mode: 'standard', cost: 0n, balance: undefined } };
}

/** `GET /activate?token=…`: a page with a button. It activates nothing, for mail scanners open links. */
export async function showActivation(_running: Running, call: Call): Promise<Answer> {
  const token = call.query.get('token') ?? '';
  if (!isLinkToken(token)) return page('This link is not whole', ['Open the link of the activation mail as it stands there, to its last character.'], { status: 400 });
  // The form's target is relative, so that it holds under any path that a proxy puts before it.
  const form = `<form method="post" action="activate"><input type="hidden" name="token" value="${token}"><p><button>Activate</button></p></form>`;
  return page('Activate your account', ['Press the button to activate your account.', { html: form }]);
}

/** `POST /activate`, with the token in the form or in the query: activates, once. The answer shows the first API key, this once. */
export async function activate(running: Running, call: Call): Promise<Answer> {
  const token = call.query.get('token') ?? new URLSearchParams(await readForm(running, call)).get('token') ?? '';
  const result = await activateByToken({ ledger: running.ledger, nowMs: () => running.clock.nowMs() }, token);
  return resultPage(running, result);
}

function resultPage({ settings }: Running, result: ActivationResult): Answer {
  const again = settings.registration.open ? 'Sign up again with the same address for a new link.' : 'Ask the operator to activate the account: `findtoken accounts activate EMAIL`.';
  switch (result.kind) {
    case 'activated': {
      const { publicUrl } = settings.server;
      const next = `Next: point your OpenAI client to ${publicUrl}/v1 and add credits with POST ${publicUrl}/v1/user/credits.`;
      const about = `The account ${result.account.email} is active.`;
      if (result.key === undefined) return page('Activated', [about, 'It has an API key already; use that one.', next]);
      return page('Activated', [about, 'This is its first API key. It is shown only here and only now; copy it to a safe place.', { code: result.key }, next]);
    }
    case 'used':
      return page('Activated before', ['This link was used, or replaced by one that was. The account is active unless somebody has closed it since.'], { status: 410 });
    case 'expired':
      return page('This link has expired', [`A link works for ${LINK_HOURS} hours. ${again}`], { status: 410 });
    case 'deactivated':
      return page('Deactivated', ['This account was deactivated. Ask the operator to activate it: `findtoken accounts activate EMAIL`.'], { status: 403 });
    default:
      return page('Unknown link', [`No account waits for this link. ${again}`], { status: 404 });
  }
}

/** @throws Fault 415 on anything but what a form sends, 413, 503. */
async function readForm({ load }: Running, call: Call): Promise<string> {
  const media = (call.req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (media !== FORM) throw new Fault('unsupported_media_type', { fill: { detail: `Send the token as a form (Content-Type: ${FORM}), or in the query.` } });
  return (await readBytes(call, FORM_BYTES, load.strangers)).toString('utf8');
}
