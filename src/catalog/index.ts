export type { Capability, Catalog, Model, Provider } from './types.ts';
export { CatalogError, parseCatalog } from './parse.ts';
export type { CatalogParts } from './parse.ts';
export { mergeCatalogData } from './merge.ts';
export { equivalents, findModel, nearestModel, priceAgeDays, soldBelowCost } from './find.ts';
export { nearestName } from './names.ts';
