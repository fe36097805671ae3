// An engine or auth method: a type name and its operations, compiled once into routes. Core knows engines only through this shape.
import type { DueContext, MountFacts, ReadContext, WriteContext } from './context.ts'
import type { Operation, OperationVerb } from './operation.ts'
import { compilePatterns, type Matcher } from './pattern.ts'
import type { TokenParams } from './reply.ts'

/** Operations of one path by verb. */
export interface Route {
  readonly pattern: string
  readonly byVerb: Readonly<Partial<Record<OperationVerb, Operation>>>
}

/** One set of operations; KV has two (versions 1 and 2), others one. */
export interface Variant {
  readonly operations: readonly Operation[]
  readonly routes: Matcher<Route>
}

/** What happens to a mount in its life; all optional. Errors thrown are shown to the client, nothing is written then. */
export interface MountHooks {
  /** Checks and completes the options of a new mount (`version` of KV); returns them as they are to be kept. */
  options?(wanted: Readonly<Record<string, string>>): Record<string, string>
  /** Runs in the transaction that enables the mount. */
  enabled?(context: WriteContext): void | Promise<void>
  /** Runs in the transaction that changes its options; `mount.options` are the new ones. Throws `invalid` to refuse. */
  retuned?(context: WriteContext, before: Readonly<Record<string, string>>): void | Promise<void>
}

/** What a renewal gives: parameters as the role has them now, and the groups as the method sees them now (absent: as they were). */
export interface RenewedGrant extends TokenParams {
  readonly groupAliases?: readonly string[]
}

/** What a token's renewal asks the auth method that granted it: parameters as the role has them now. Throws `invalid` to refuse. */
export type RenewGrant = (
  granted: { readonly internal: Readonly<Record<string, unknown>>; readonly policies: readonly string[] },
  context: ReadContext,
) => RenewedGrant | Promise<RenewedGrant>

/** Work whose time has come, as it was noted. */
export interface DueWork {
  readonly id: string
  /** What was noted with it; JSON. */
  readonly data: unknown
}

/**
 * Does due work in a transaction of its own, which may run several times; what it throws drops its writes and calls it again later.
 * Gives when it wants to be called again, undefined when it is done.
 */
export type DueHandler = (
  work: DueWork,
  context: DueContext,
) => Promise<{ readonly at: number; readonly data?: unknown } | undefined>

export interface Engine {
  readonly type: string
  readonly kind: 'secret' | 'auth'
  readonly summary: string
  /** Which operations a mount with these options has. */
  variant(options: Readonly<Record<string, string>>): Variant
  readonly variants: Readonly<Record<string, Variant>>
  readonly hooks: MountHooks
  readonly renew: RenewGrant | undefined
  /** Who does the work that operations note in `context.due`, by kind. A kind holds no `/`. */
  readonly due: Readonly<Record<string, DueHandler>>
  /** Paths below the mount that show what the whole server holds (`sys`, `auth/token`) get storage without a prefix. */
  readonly scope: 'mount' | 'core'
  /** At most one mount, made by core itself; cannot be enabled, moved or disabled (`sys`, `identity`, `cubbyhole`, `token`). */
  readonly singleton: boolean
}

export interface EngineDeclaration {
  readonly type: string
  readonly kind: 'secret' | 'auth'
  readonly summary: string
  /** A list, or several lists with the function that picks one by the mount's options. */
  readonly operations:
    | readonly Operation[]
    | {
        readonly pick: (options: Readonly<Record<string, string>>) => string
        readonly of: Readonly<Record<string, readonly Operation[]>>
      }
  readonly hooks?: MountHooks
  readonly renew?: RenewGrant
  readonly due?: Readonly<Record<string, DueHandler>>
  readonly scope?: 'mount' | 'core'
  readonly singleton?: boolean
}

function compileVariant(type: string, operations: readonly Operation[]): Variant {
  const routes = new Map<string, { pattern: string; byVerb: Partial<Record<OperationVerb, Operation>> }>()
  for (const operation of operations) {
    const route = routes.get(operation.pattern) ?? { pattern: operation.pattern, byVerb: {} }
    routes.set(operation.pattern, route)
    if (route.byVerb[operation.verb])
      throw new Error(`${type}: ${operation.verb} ${operation.pattern} is declared twice`)
    route.byVerb[operation.verb] = operation
  }
  return { operations, routes: compilePatterns(routes) }
}

/** Compiles an engine from its declaration; throws at start on a path declared twice or ambiguous. */
export function engine(declaration: EngineDeclaration): Engine {
  const { operations } = declaration
  const several = 'pick' in operations ? operations : { pick: () => 'only', of: { only: operations } }
  const variants = Object.fromEntries(
    Object.entries(several.of).map(([name, list]) => [name, compileVariant(declaration.type, list)]),
  )
  return {
    type: declaration.type,
    kind: declaration.kind,
    summary: declaration.summary,
    variants,
    variant(options) {
      const found = variants[several.pick(options)]
      if (!found) throw new Error(`${declaration.type}: no variant for these options`)
      return found
    },
    hooks: declaration.hooks ?? {},
    renew: declaration.renew,
    due: declaration.due ?? {},
    scope: declaration.scope ?? 'mount',
    singleton: declaration.singleton ?? false,
  }
}

/** Where the data of a mount lies: below this prefix of the whole store. */
export const mountPrefix = (mount: MountFacts): string => `ns/${mount.namespace.uuid}/data/${mount.uuid}/`
