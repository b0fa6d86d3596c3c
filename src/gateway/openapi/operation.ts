import type { FaultCode } from '../../faults.ts';
import type { Form } from '../form.ts';
import type { Parameter } from '../query.ts';
import type { ViewName } from './views.ts';

/** What the routes are sorted by, each with what it is about. */
export const TAGS = {
  Chat: 'Asking models.',
  Models: 'What can be asked, and what it costs.',
  Account: 'The account of the API key: its balance, its log, its keys.',
  Recharges: 'Paying for credits.',
  BYOK: 'The account\'s own provider keys.',
  'Sign-up': 'Opening an account by mail, where the operator allows it.',
  Operation: 'For those who run the daemon, and for the services it works with.',
} as const;

/** What a route says of itself; `describeApi` makes the description of it. */
export interface Operation {
  /** Unique; client generators name their functions by it. */
  readonly id: string;
  readonly tag: keyof typeof TAGS;
  readonly summary: string;
  readonly about?: string;
  readonly query?: Readonly<Record<string, Parameter<unknown>>>;
  /** What a caller may set beyond the usual headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What `{id}` in the path is. */
  readonly idIs?: string;
  readonly body?: { readonly form: Form<unknown> } | { readonly schema: 'ChatRequest' } | { readonly media: string; readonly about: string };
  readonly answers: Readonly<Record<number, OneAnswer>>;
  /** Refusals beyond those of every route, of every route with a key, and of every JSON body. */
  readonly refuses?: readonly FaultCode[];
}

/** One way to be answered: a shape as JSON, a stream of chunks beside it, or a text. */
export interface OneAnswer {
  readonly about: string;
  readonly view?: ViewName | 'ChatCompletion';
  readonly streams?: 'ChatCompletionChunk';
  /** The media type of what is no JSON. */
  readonly media?: string;
  readonly headers?: readonly string[];
}
