// The identity room in one import. Assembles only.
export type { AliasRecord, EntityRecord } from './entities.ts'
export { groupHandlers } from './group-store.ts'
export { type FoundEntity, type Identity, identityStore, type LoginAlias } from './store.ts'
