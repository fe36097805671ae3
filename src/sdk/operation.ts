// Typed operations: one exported constant per operation; the declaration is all there is to say about a path.
// Here only the shapes; `dispatch.ts` runs them, `help.ts` and `openapi.ts` read them.
import type { ReadContext, RequestFacts, WriteContext } from './context.ts'
import { compileDecoder, type Fields, type ValuesOf } from './fields.ts'
import { placeholdersOf } from './pattern.ts'
import type { Grant, Reply } from './reply.ts'

export type OperationVerb = 'read' | 'list' | 'scan' | 'write' | 'patch' | 'delete'

/** What may be returned: nothing (204, or 404 for a read), or a reply. */
export type Answer = Reply | undefined

type Awaitable<T> = T | Promise<T>

/** Stages of an operation with effects outside: only `commit` may run again. `act` runs once, with no transaction open. */
export interface Stages<A, P, D> {
  prepare(input: A, context: ReadContext): Awaitable<P>
  act(prepared: P, input: A): Awaitable<D>
  commit(done: D, input: A, context: WriteContext): Awaitable<Answer>
}

interface Described<I extends Fields> {
  readonly summary: string
  readonly description?: string
  readonly input?: I
  readonly output?: Fields
  /** Needs the `sudo` capability besides. */
  readonly sudo?: boolean
  /** Needs no token, and no policy is asked. A token that is sent is ignored, but for `optionalToken`. */
  readonly public?: boolean
  /** Needs no token, but knows the caller if there is a good one; its policies are asked unless the operation is public. */
  readonly optionalToken?: boolean
  readonly deprecated?: boolean
  /** Left out of help and OpenAPI: it only answers those who took a wrong path. */
  readonly unlisted?: boolean
  /** Takes the body as bytes; `unlimited`: as a stream (`request.rawStream`) without limits of size and time. */
  readonly rawBody?: 'raw' | 'unlimited'
}

interface Running<A, C> {
  run(input: A, context: C): Awaitable<Answer>
}

type WriteBody<A> = Running<A, WriteContext> | { readonly stages: Stages<A, unknown, unknown> }
type Exists<A> = { exists?(input: A, context: ReadContext): Awaitable<boolean> }

/** An operation, its types forgotten: what registries, help and the pipeline handle. */
export interface Operation {
  readonly pattern: string
  readonly pathFields: Fields
  readonly about: string
  readonly verb: OperationVerb
  readonly kind: 'read' | 'write' | 'compute' | 'issue' | 'login' | 'lifecycle'
  readonly summary: string
  readonly description: string
  readonly input: Fields
  readonly output: Fields
  readonly sudo: boolean
  readonly public: boolean
  readonly optionalToken: boolean
  readonly deprecated: boolean
  readonly unlisted: boolean
  readonly rawBody: 'raw' | 'unlimited' | undefined
  /** Decodes placeholders and input into one object; throws `ApiError` 400. */
  decode(params: Readonly<Record<string, string>>, source: Readonly<Record<string, unknown>>): Record<string, unknown>
  readonly run: ((input: Record<string, unknown>, context: WriteContext) => Awaitable<Answer>) | undefined
  readonly stages: Stages<Record<string, unknown>, unknown, unknown> | undefined
  readonly exists: ((input: Record<string, unknown>, context: ReadContext) => Awaitable<boolean>) | undefined
  readonly lifecycle: ((input: Record<string, unknown>, request: RequestFacts) => Awaitable<Answer>) | undefined
}

type InputOf<P extends Fields, I extends Fields> = ValuesOf<P> & ValuesOf<I>

/** A path with its placeholders; each method declares one operation on it. */
export interface Path<P extends Fields> {
  read<I extends Fields = Record<never, never>>(o: Described<I> & Running<InputOf<P, I>, ReadContext>): Operation
  list<I extends Fields = Record<never, never>>(o: Described<I> & Running<InputOf<P, I>, ReadContext>): Operation
  scan<I extends Fields = Record<never, never>>(o: Described<I> & Running<InputOf<P, I>, ReadContext>): Operation
  /** POST or PUT that changes nothing: encrypt, verify, look up. */
  compute<I extends Fields = Record<never, never>>(o: Described<I> & Running<InputOf<P, I>, ReadContext>): Operation
  write<I extends Fields = Record<never, never>>(
    o: Described<I> & Exists<InputOf<P, I>> & WriteBody<InputOf<P, I>>,
  ): Operation
  patch<I extends Fields = Record<never, never>>(o: Described<I> & WriteBody<InputOf<P, I>>): Operation
  delete<I extends Fields = Record<never, never>>(o: Described<I> & WriteBody<InputOf<P, I>>): Operation
  /** GET (`verb: 'read'`) or POST that makes a credential with a lease. */
  issue<I extends Fields = Record<never, never>>(
    o: Described<I> & { readonly verb?: 'read' | 'write' } & WriteBody<InputOf<P, I>>,
  ): Operation
  /** POST without a token that says who the caller is; its answer is a grant, core makes the token. */
  login<I extends Fields = Record<never, never>>(
    o: Described<I> &
      (
        | { run(input: InputOf<P, I>, context: WriteContext): Awaitable<Grant> }
        | {
            stages: {
              prepare(input: InputOf<P, I>, context: ReadContext): Awaitable<unknown>
              act(prepared: never, input: InputOf<P, I>): Awaitable<unknown>
              commit(done: never, input: InputOf<P, I>, context: WriteContext): Awaitable<Grant>
            }
          }
      ),
  ): Operation
  /** Runs outside every transaction, without a token, also while sealed; unaudited as in Vault (init, unseal, health). */
  lifecycle<I extends Fields = Record<never, never>>(
    verb: 'read' | 'write' | 'delete',
    o: Described<I> & { run(input: InputOf<P, I>, request: RequestFacts): Awaitable<Answer> },
  ): Operation
}

type Loose = Described<Fields> & {
  run?: unknown
  stages?: unknown
  exists?: unknown
  verb?: 'read' | 'write'
}

/** Checks that a set of stages fits together and forgets its types. Inference: write `stages: stages({prepare, act, commit})`. */
export const stages = <A, P, D>(s: Stages<A, P, D>): Stages<A, unknown, unknown> => s as Stages<A, unknown, unknown>

/** The same for a login, whose commit gives a grant. */
export const loginStages = <A, P, D>(s: {
  prepare(input: A, context: ReadContext): Awaitable<P>
  act(prepared: P, input: A): Awaitable<D>
  commit(done: D, input: A, context: WriteContext): Awaitable<Grant>
}) =>
  s as never as {
    prepare(input: A, context: ReadContext): Awaitable<unknown>
    act(prepared: never, input: A): Awaitable<unknown>
    commit(done: never, input: A, context: WriteContext): Awaitable<Grant>
  }

/**
 * Declares a path of an engine: `path('roles/{name}', { name: str('…').required() }, 'Roles.')`. Placeholders are `{name}` (one segment)
 * and, last only, `{path*}` (the rest). Throws at start when placeholders and fields differ.
 */
export function path<P extends Fields>(pattern: string, fields: P, about: string): Path<P> {
  const names = placeholdersOf(pattern)
  if (names.join() !== Object.keys(fields).join())
    throw new Error(`pattern "${pattern}" and its fields ${Object.keys(fields).join(', ')} differ`)
  const decodePath = compileDecoder(fields)
  const make = (verb: OperationVerb, kind: Operation['kind'], o: Loose): Operation => {
    const decodeInput = compileDecoder(o.input ?? {})
    return {
      pattern,
      pathFields: fields,
      about,
      verb,
      kind,
      summary: o.summary,
      description: o.description ?? '',
      input: o.input ?? {},
      output: o.output ?? {},
      sudo: o.sudo ?? false,
      public: o.public ?? (kind === 'login' || kind === 'lifecycle'),
      optionalToken: o.optionalToken ?? false,
      deprecated: o.deprecated ?? false,
      unlisted: o.unlisted ?? false,
      rawBody: o.rawBody,
      decode(params, source) {
        const values: Record<string, unknown> = {}
        decodeInput(source as never, values)
        decodePath(params, values)
        return values
      },
      run: kind === 'lifecycle' ? undefined : kind === 'login' ? grantRun(o.run) : (o.run as Operation['run']),
      stages: kind === 'login' ? grantStages(o.stages) : (o.stages as Operation['stages']),
      exists: o.exists as Operation['exists'],
      lifecycle: kind === 'lifecycle' ? (o.run as Operation['lifecycle']) : undefined,
    }
  }
  return {
    read: (o) => make('read', 'read', o as Loose),
    list: (o) => make('list', 'read', o as Loose),
    scan: (o) => make('scan', 'read', o as Loose),
    compute: (o) => make('write', 'compute', o as Loose),
    write: (o) => make('write', 'write', o as Loose),
    patch: (o) => make('patch', 'write', o as Loose),
    delete: (o) => make('delete', 'write', o as Loose),
    issue: (o) => make((o as Loose).verb ?? 'write', 'issue', o as Loose),
    login: (o) => make('write', 'login', o as Loose),
    lifecycle: (verb, o) => make(verb, 'lifecycle', o as Loose),
  }
}

// A login gives a grant; the pipeline wants a reply that carries one.
function grantRun(run: unknown): Operation['run'] {
  const login = run as ((input: Record<string, unknown>, context: WriteContext) => Awaitable<Grant>) | undefined
  return login && (async (input, context) => ({ grant: await login(input, context) }))
}

function grantStages(stages: unknown): Operation['stages'] {
  const s = stages as Stages<Record<string, unknown>, unknown, unknown> | undefined
  return (
    s && {
      prepare: (input, context) => s.prepare(input, context),
      act: (prepared, input) => s.act(prepared, input),
      commit: async (done, input, context) => ({ grant: (await s.commit(done, input, context)) as unknown as Grant }),
    }
  )
}
