import type { PriceList } from '../money/index.ts';

/** What a model can do beyond plain chat. `vision`: pictures in the prompt. */
export type Capability = 'tools' | 'json_object' | 'json_schema' | 'vision' | 'reasoning';

/** A model as customers know it, and how it is reached. */
export interface Model {
  /** The public id; never changes when the provider renames. */
  readonly id: string;
  /** A name for people, such as "DeepSeek Chat". */
  readonly name: string;
  readonly provider: string;
  /** The provider's present name for it. */
  readonly upstream: string;
  /** Body fields that are set on every request, such as `{ thinking: { type: 'disabled' } }`. */
  readonly force: Readonly<Record<string, unknown>>;
  /** Body fields that this model refuses and that are left out, such as `temperature`. */
  readonly drop: readonly string[];
  readonly contextWindow: number;
  readonly maxOutput: number;
  /** What customers pay, before the usage fee. */
  readonly price: PriceList;
  /** The provider's own list price where it differs from `price`. */
  readonly cost: PriceList | undefined;
  /** The day on which price (and cost) were looked up, `YYYY-MM-DD`. */
  readonly priced: string;
  readonly capabilities: readonly Capability[];
  /** Where the price was found. */
  readonly source: string;
  /** The model exists only to rehearse: answered inside the daemon, only with the sandbox on. */
  readonly sandbox: boolean;
}

/** A provider: where it is reached and which row of the table of differences it follows. */
export interface Provider {
  readonly id: string;
  readonly name: string;
  /** Base URL without a trailing slash; `/chat/completions` and `/models` lie below. */
  readonly baseUrl: string;
  /** Other base URLs by region name: a BYOK key may name one of these, never a URL. */
  readonly regions: Readonly<Record<string, string>>;
  /** Row of `wire`'s `QUIRKS`; an added provider without one speaks plain OpenAI. */
  readonly dialect: string;
  /** What a key must look like, as a hint for people, such as `id.secret`. */
  readonly keyFormat: string;
}

export interface Catalog {
  /** In the order of the file, which is the order of `GET /v1/models`. */
  readonly models: ReadonlyMap<string, Model>;
  readonly providers: ReadonlyMap<string, Provider>;
  /** Model id → ids that may stand in for it, in order of preference. */
  readonly equivalents: ReadonlyMap<string, readonly string[]>;
}
