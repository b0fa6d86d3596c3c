import { Stripe } from 'stripe';
import { fieldsOf, isFields } from './messages.ts';

/** A connection to Stripe. This file is loaded at its first use: the package is large. */
export type Connection = Stripe;

const TIMEOUT_MS = 20_000;
const RETRIES = 2;

/** @param apiBase `https://api.stripe.com`, or the address of a stand-in to rehearse with */
export function connect(secretKey: string, apiBase: string): Connection {
  const { protocol, hostname, port } = new URL(apiBase);
  const isPlain = protocol === 'http:';
  return new Stripe(secretKey, {
    protocol: isPlain ? 'http' : 'https',
    host: hostname,
    port: port === '' ? (isPlain ? 80 : 443) : Number(port),
    timeout: TIMEOUT_MS,
    maxNetworkRetries: RETRIES,
    telemetry: false,
    httpClient: readingObjects(Stripe.createNodeHttpClient()),
    appInfo: { name: 'findtoken' },
  });
}

/**
 * Answers that are no object, or whose error is none, count as no JSON: what the package does with a text or a number it does outside
 * of its call, which would never end, and would end the process.
 */
function readingObjects(client: ReturnType<typeof Stripe.createNodeHttpClient>): typeof client {
  const send = client.makeRequest.bind(client);
  client.makeRequest = async (...call) => {
    const response = await send(...call);
    const read = response.toJSON.bind(response);
    response.toJSON = async () => {
      const body: unknown = await read();
      const { error } = fieldsOf(body);
      const isReadable = isFields(body) && (!error || typeof error === 'string' || isFields(error));
      if (!isReadable) throw new SyntaxError('the answer is no object');
      return body;
    };
    return response;
  };
  return client;
}

/** What went wrong with a call: where the fault lies, and Stripe's code for it. Its message may quote the request and is not used. */
export function faultOf(error: unknown): { readonly side: 'key' | 'request' | 'service'; readonly code: string } | undefined {
  const { errors } = Stripe;
  if (!(error instanceof errors.StripeError)) return undefined;
  const code = error.code ?? error.type;
  if (error instanceof errors.StripeAuthenticationError || error instanceof errors.StripePermissionError) return { side: 'key', code };
  if (error instanceof errors.StripeInvalidRequestError || error instanceof errors.StripeCardError || error instanceof errors.StripeIdempotencyError) return { side: 'request', code };
  return { side: 'service', code };
}

/**
 * Checks who signed a webhook's body and reads it.
 * @returns undefined where no signature in the header was made with the secret, or it is older than `toleranceS`.
 */
export function readSigned(body: Uint8Array, wish: { readonly signature: string; readonly secret: string; readonly toleranceS: number; readonly nowMs: number }): unknown {
  try {
    return Stripe.webhooks.constructEvent(body, wish.signature, wish.secret, wish.toleranceS, undefined, wish.nowMs);
  } catch (error) {
    if (error instanceof Stripe.errors.StripeSignatureVerificationError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
