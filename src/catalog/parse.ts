import type { Catalog } from './types.ts';

/** Plain parsed data in the shape of findtoken.yaml: `models` and `providers` by id, `equivalents` as lists of ids. */
export interface CatalogParts {
  readonly models: unknown;
  readonly providers: unknown;
  readonly equivalents: unknown;
}

/** What is wrong with catalogue data, where, and the mend. Whoever wrote the data is at fault. */
export class CatalogError extends Error {
  /** From the root of the data to the fault, such as `['models', 'x', 'price', 'input']`; the last steps may be missing there. */
  readonly path: readonly (string | number)[];
  /** The fault without the path. */
  readonly text: string;
  /** The name at the end of the path is at fault, not what it holds. */
  readonly nameIsWrong: boolean;

  constructor(path: readonly (string | number)[], text: string, nameIsWrong = false) {
    super(`${path.join('.')}: ${text}`);
    this.name = 'CatalogError';
    this.path = path;
    this.text = text;
    this.nameIsWrong = nameIsWrong;
  }
}

export function parseCatalog(parts: CatalogParts): Catalog {
  throw new CatalogError([], `not read yet: ${typeof parts.models}`);
}
