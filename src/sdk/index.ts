// The sdk in one import: what engines, auth methods and system paths are written with. Assembles only.
export {
  type Caller,
  type Context,
  type DueContext,
  type MountFacts,
  mountState,
  type NamespaceFacts,
  type ReadContext,
  type RequestFacts,
  type WriteContext,
} from './context.ts'
export {
  type DueHandler,
  type Engine,
  type EngineDeclaration,
  engine,
  type MountHooks,
  mountPrefix,
  type RenewGrant,
} from './engine.ts'
export * from './errors.ts'
export {
  any,
  bool,
  duration,
  Field,
  type Fields,
  float,
  int,
  intList,
  kvpairs,
  list,
  lowerStr,
  map,
  signedDuration,
  str,
  time,
  type ValuesOf,
} from './fields.ts'
export { type Answer, loginStages, type Operation, path, stages } from './operation.ts'
export { type AuthBlock, type Grant, listReply, type Reply, type TokenParams, type WrapInfo } from './reply.ts'
