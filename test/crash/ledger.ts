// What writers did: each write that was acknowledged, and the one that was under way when the server died, which may be there or
// not, but only whole. Each writer owns its keys, so what must be read is known exactly.
import assert from 'node:assert/strict'
import type { Answer, ServerProcess } from '../process.ts'
import type { Random } from './random.ts'

interface Versions {
  /** Values of the versions, by version - 1. */
  readonly values: string[]
}

export interface Ledger {
  /** Does one random write; false when the server is gone. */
  write(server: ServerProcess, writer: number, round: number): Promise<boolean>
  /** Compares what was touched since the last check (or everything) with what the server answers. */
  check(server: ServerProcess, everything: boolean): Promise<void>
  /** Ids of acknowledged requests since the last call. */
  takeRequestIds(): string[]
  /** How often writes to a path were acknowledged, of those that answer without an id. */
  acknowledgedPaths(): Iterable<readonly [path: string, count: number]>
  acknowledged(): number
  summary(): string
}

/** A ledger of writes chosen by `random`. */
export function ledger(random: Random): Ledger {
  const plain = new Map<string, string | undefined>()
  const versioned = new Map<string, Versions>()
  const policies = new Map<string, string>()
  const tokens = new Map<string, { readonly accessor: string; live: boolean }>()
  /** The write of each key that got no answer. */
  const open = new Map<string, string | undefined>()
  const touched = new Set<string>()
  const ids: string[] = []
  const paths = new Map<string, number>()
  const counts: Record<string, number> = {}

  const send = async (
    server: ServerProcess,
    method: string,
    at: string,
    body?: unknown,
  ): Promise<Answer | undefined> => {
    const answer = await server.call(method, at, body).catch(() => undefined)
    if (!answer) return undefined
    assert.ok(answer.status < 300, `${method} ${at}: ${answer.status} ${JSON.stringify(answer.body)}`)
    if (answer.status === 204) paths.set(at, (paths.get(at) ?? 0) + 1)
    else ids.push(answer.body.request_id)
    return answer
  }
  const count = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1
    return true
  }
  const value = () => random.text(1 + random.below(random.below(10) === 0 ? 40_000 : 400))

  const writePlain = async (server: ServerProcess, writer: number): Promise<boolean> => {
    const at = `one/${writer}/${random.below(12)}`
    const wanted = random.below(8) === 0 ? undefined : value()
    open.set(at, wanted)
    touched.add(at)
    const answer = await send(
      server,
      wanted === undefined ? 'DELETE' : 'POST',
      at,
      wanted === undefined ? undefined : { value: wanted },
    )
    if (!answer) return false
    open.delete(at)
    plain.set(at, wanted)
    return count(wanted === undefined ? 'KV v1 deletes' : 'KV v1 writes')
  }

  const writeVersioned = async (server: ServerProcess, writer: number): Promise<boolean> => {
    const key = `${writer}/${random.below(8)}`
    const at = `two/data/${key}`
    const known = versioned.get(key) ?? { values: [] }
    versioned.set(key, known)
    const wanted = value()
    open.set(at, wanted)
    touched.add(at)
    const answer = await send(server, 'POST', at, { data: { value: wanted }, options: { cas: known.values.length } })
    if (!answer) return false
    open.delete(at)
    known.values.push(wanted)
    assert.equal(answer.body.data.version, known.values.length)
    return count('KV v2 writes')
  }

  const writePolicy = async (server: ServerProcess, writer: number): Promise<boolean> => {
    const at = `sys/policies/acl/w${writer}-${random.below(5)}`
    const wanted = `# ${random.text(30).replaceAll('"', '')}\npath "one/${random.below(100)}/*" { capabilities = ["read"] }`
    open.set(at, wanted)
    touched.add(at)
    if (!(await send(server, 'POST', at, { policy: wanted }))) return false
    open.delete(at)
    policies.set(at, wanted)
    return count('policy writes')
  }

  const makeToken = async (server: ServerProcess): Promise<boolean> => {
    const answer = await send(server, 'POST', 'auth/token/create', {
      policies: ['default'],
      metadata: { mark: random.text(8) },
    })
    if (!answer) return false
    tokens.set(answer.body.auth.client_token, { accessor: answer.body.auth.accessor, live: true })
    touched.add(answer.body.auth.client_token)
    return count('token creates')
  }

  const revokeToken = async (server: ServerProcess): Promise<boolean> => {
    const token = random.pick([...tokens].filter(([, { live }]) => live).map(([each]) => each))
    if (token === undefined) return true
    const record = tokens.get(token) as { live: boolean }
    // From here on nobody may expect it to live; once acknowledged it must be dead.
    record.live = false
    open.set(token, undefined)
    touched.add(token)
    if (!(await send(server, 'POST', 'auth/token/revoke', { token }))) return false
    open.delete(token)
    return count('token revocations')
  }

  const checkPlain = async (server: ServerProcess, at: string): Promise<void> => {
    const { status, body } = await server.call('GET', at)
    const found = status === 404 ? undefined : (body.data.value as string)
    const allowed = open.has(at) ? [plain.get(at), open.get(at)] : [plain.get(at)]
    assert.ok(allowed.includes(found), `${at}: neither what was acknowledged nor what was under way`)
    plain.set(at, found)
  }

  const checkVersioned = async (server: ServerProcess, at: string): Promise<void> => {
    const key = at.slice('two/data/'.length)
    const { values } = versioned.get(key) as Versions
    const metadata = await server.call('GET', `two/metadata/${key}`)
    const listed = metadata.status === 404 ? 0 : (metadata.body.data.current_version as number)
    const pending = open.get(at)
    if (pending !== undefined && listed === values.length + 1) values.push(pending)
    assert.equal(listed, values.length, `${at}: versions in metadata`)
    if (listed > 0) {
      const kept = Math.min(listed, 10)
      const numbers = Object.keys(metadata.body.data.versions).map(Number)
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        Array.from({ length: kept }, (_, i) => listed - kept + i + 1),
      )
      for (const version of numbers) {
        const { status, body } = await server.call('GET', `${at}?version=${version}`)
        assert.equal(status, 200, `${at} version ${version} is listed, not readable`)
        assert.equal(body.data.data.value, values[version - 1], `${at} version ${version}`)
        assert.equal(body.data.metadata.version, version)
      }
    }
    assert.equal(
      (await server.call('GET', `${at}?version=${listed + 1}`)).status,
      404,
      `${at}: a version that metadata lacks`,
    )
  }

  const checkPolicy = async (server: ServerProcess, at: string): Promise<void> => {
    const { status, body } = await server.call('GET', at)
    const found = status === 404 ? undefined : (body.data.policy as string)
    const allowed = open.has(at) ? [policies.get(at), open.get(at)] : [policies.get(at)]
    assert.ok(allowed.includes(found), `${at}: ${found}`)
    if (found !== undefined) policies.set(at, found)
  }

  const checkToken = async (server: ServerProcess, token: string): Promise<void> => {
    const known = tokens.get(token) as { accessor: string; live: boolean }
    const self = await server.call('GET', 'auth/token/lookup-self', undefined, { 'x-vault-token': token })
    const byAccessor = await server.call('POST', 'auth/token/lookup-accessor', { accessor: known.accessor })
    assert.equal(self.status === 200, byAccessor.status === 200, 'a token and its accessor live and die together')
    if (open.has(token)) known.live = self.status === 200
    assert.equal(
      self.status,
      known.live ? 200 : 403,
      known.live ? 'an acknowledged token is gone' : 'a revoked token lives',
    )
  }

  /** What is listed is there: no accessor without its token, no policy without its text. */
  const checkLists = async (server: ServerProcess): Promise<void> => {
    const { keys } = (await server.call('LIST', 'auth/token/accessors')).body.data
    const known = new Set<string>()
    for (const { accessor, live } of tokens.values()) if (live) known.add(accessor)
    for (const accessor of known) assert.ok(keys.includes(accessor), 'the accessor of a live token is listed')
    for (const accessor of keys.slice(-5)) {
      const { status } = await server.call('POST', 'auth/token/lookup-accessor', { accessor })
      assert.equal(status, 200, 'a listed accessor without a token')
    }
    const names = (await server.call('LIST', 'sys/policies/acl')).body.data.keys as string[]
    for (const at of policies.keys()) assert.ok(names.includes(at.slice('sys/policies/acl/'.length)), at)
  }

  const checkOne = (server: ServerProcess, what: string): Promise<void> =>
    what.startsWith('one/')
      ? checkPlain(server, what)
      : what.startsWith('two/')
        ? checkVersioned(server, what)
        : what.startsWith('sys/')
          ? checkPolicy(server, what)
          : checkToken(server, what)

  return {
    async write(server, writer) {
      const dice = random.below(100)
      if (dice < 35) return await writePlain(server, writer)
      if (dice < 75) return await writeVersioned(server, writer)
      if (dice < 85) return await writePolicy(server, writer)
      if (dice < 94) return await makeToken(server)
      if (dice < 99) return await revokeToken(server)
      return (await send(server, 'POST', 'sys/rotate')) ? count('key rotations') : false
    },
    async check(server, everything) {
      const list = everything
        ? [
            ...plain.keys(),
            ...[...versioned.keys()].map((key) => `two/data/${key}`),
            ...policies.keys(),
            ...tokens.keys(),
          ]
        : [...touched]
      const work = list[Symbol.iterator]()
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          for (const what of work) await checkOne(server, what)
        }),
      )
      await checkLists(server)
      touched.clear()
      open.clear()
    },
    takeRequestIds: () => ids.splice(0),
    acknowledgedPaths: () => paths,
    acknowledged: () => Object.values(counts).reduce((sum, each) => sum + each, 0),
    summary: () =>
      Object.entries(counts)
        .map(([what, number]) => `${number} ${what}`)
        .join(', '),
  }
}
