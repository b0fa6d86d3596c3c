export type { Capability, Catalog, Model, Provider } from './types.ts';
export { WEEK } from './days.ts';
export { CatalogError } from './fields.ts';
export { equivalents, findModel, nearestModel, priceAgeDays } from './find.ts';
export { losing, soldBelowCost, soldBelowPeakCost } from './losses.ts';
export { mergeCatalogData } from './merge.ts';
export { nearestName } from './names.ts';
export { parseCatalog } from './parse.ts';
export type { CatalogParts } from './parse.ts';
