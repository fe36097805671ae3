// Clients: the applications that sign people in. A confidential one has a secret; a public one proves itself by PKCE alone.
import { randomText } from '../../lib/random.ts'
import {
  bool,
  duration,
  int,
  invalid,
  list,
  listReply,
  type Operation,
  path,
  str,
  type WriteContext,
} from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { assignmentStore, type Client, checkList, checkOidcName, clientIds, clients, defaultName } from './records.ts'
import { checkRedirectUri } from './redirects.ts'
import { keyForUse } from './rotation.ts'

const clientIdLength = 32
const clientSecretLength = 64
const secretPrefix = 'hvo_secret_'

const clientFields = {
  redirect_uris: list('Where codes may be sent; compared letter by letter, but for the port of a loopback address.'),
  assignments: list('Who may sign in; "allow_all": everybody. Nobody at first.'),
  key: str('Named key that signs the id tokens; "default" at first. Cannot be changed.'),
  id_token_ttl: duration('Lifetime of id tokens; 24h at first.'),
  access_token_ttl: duration('Lifetime of access tokens; 24h at first.'),
  client_type: str('confidential (at first) or public. Cannot be changed.'),
  authorization_code: bool('Whether it may sign people in; true at first.'),
  client_credentials: bool('Whether it may have tokens for itself; false at first. Confidential clients only.'),
}

const settings = (client: Client) => ({
  redirect_uris: client.redirectUris,
  assignments: client.assignments,
  key: client.key,
  id_token_ttl: client.idTokenTtlSeconds,
  access_token_ttl: client.accessTokenTtlSeconds,
  client_type: client.type,
  client_id: client.clientId,
  authorization_code: client.authorizationCode,
  client_credentials: client.clientCredentials,
})

interface ClientInput {
  readonly name: string
  readonly redirect_uris?: string[] | undefined
  readonly assignments?: string[] | undefined
  readonly key?: string | undefined
  readonly id_token_ttl?: number | undefined
  readonly access_token_ttl?: number | undefined
  readonly client_type?: string | undefined
  readonly authorization_code?: boolean | undefined
  readonly client_credentials?: boolean | undefined
}

function typeOf(wanted: string | undefined, before: Client | undefined): Client['type'] {
  const type = wanted ?? before?.type ?? 'confidential'
  if (type !== 'confidential' && type !== 'public') throw invalid('client_type must be "confidential" or "public"')
  if (before && before.type !== type) throw invalid('client_type modification is not allowed')
  return type
}

/** The client as it is to be. Throws 400 for what does not fit together. */
function wanted(input: ClientInput, before: Client | undefined): Client {
  const type = typeOf(input.client_type, before)
  if (before && input.key !== undefined && input.key !== before.key) throw invalid('key modification is not allowed')
  const client: Client = {
    name: input.name,
    clientId: before?.clientId ?? randomText(clientIdLength),
    clientSecret: before?.clientSecret ?? (type === 'public' ? '' : secretPrefix + randomText(clientSecretLength)),
    type,
    redirectUris: [...new Set(input.redirect_uris ?? before?.redirectUris ?? [])],
    assignments: [...new Set(input.assignments ?? before?.assignments ?? [])],
    key: before?.key ?? input.key ?? defaultName,
    idTokenTtlSeconds: input.id_token_ttl ?? before?.idTokenTtlSeconds ?? 86_400,
    accessTokenTtlSeconds: input.access_token_ttl ?? before?.accessTokenTtlSeconds ?? 86_400,
    authorizationCode: input.authorization_code ?? before?.authorizationCode ?? true,
    clientCredentials: input.client_credentials ?? before?.clientCredentials ?? false,
  }
  checkList('redirect_uris', client.redirectUris)
  checkList('assignments', client.assignments)
  for (const uri of client.redirectUris) checkRedirectUri(uri)
  if (client.idTokenTtlSeconds < 1) throw invalid('id_token_ttl must be greater than zero')
  if (client.accessTokenTtlSeconds < 1) throw invalid('access_token_ttl must be greater than zero')
  // Whoever knows the id of a public client could have tokens in its name.
  if (client.clientCredentials && type === 'public')
    throw invalid('client_credentials can only be allowed to confidential clients')
  return client
}

async function saveClient(input: ClientInput, context: WriteContext): Promise<undefined> {
  const { tx, now } = context
  checkOidcName(input.name)
  const before = await clients(here(context)).get(tx, input.name)
  const client = wanted(input, before)
  for (const name of client.assignments)
    if (!(await assignmentStore.get(tx, here(context), name)))
      throw invalid(`assignment "${name.slice(0, 100)}" does not exist`)
  const key = await keyForUse(tx, here(context), client.key, now)
  if (!key) throw invalid(`key "${client.key.slice(0, 100)}" does not exist`)
  if (client.idTokenTtlSeconds > key.verificationTtlSeconds)
    throw invalid("a client's id_token_ttl cannot be greater than the verification_ttl of the key it references")
  clients(here(context)).put(tx, client.name, client)
  clientIds(here(context)).put(tx, client.clientId, client.name)
  return undefined
}

/** The operations on clients. */
export const clientOperations: readonly Operation[] = (() => {
  const one = path('oidc/client/{name}', { name: str('Name of the client.').required() }, 'A client.')
  const output = {
    redirect_uris: list('Where codes may be sent.'),
    assignments: list('Who may sign in.'),
    key: str('Named key that signs the id tokens.'),
    id_token_ttl: int('Seconds id tokens live.'),
    access_token_ttl: int('Seconds access tokens live.'),
    client_type: str('confidential or public.'),
    client_id: str('Id of the client.'),
    client_secret: str('Secret of a confidential client.').sensitive(),
    authorization_code: bool('Whether it may sign people in.'),
    client_credentials: bool('Whether it may have tokens for itself.'),
  }
  return [
    one.write({
      summary: 'Create or update a client; id and secret are made up.',
      input: clientFields,
      exists: ({ name }, context) => clients(here(context)).has(context.tx, name),
      run: saveClient,
    }),
    one.read({
      summary: 'Read a client, with its secret.',
      output,
      async run({ name }, context) {
        const client = await clients(here(context)).get(context.tx, name)
        if (!client) return undefined
        const secret = client.type === 'confidential' ? { client_secret: client.clientSecret } : {}
        return { data: { ...settings(client), ...secret } }
      },
    }),
    one.delete({
      summary: 'Delete a client; its codes and access tokens are worth nothing from then on.',
      async run({ name }, context) {
        const client = await clients(here(context)).get(context.tx, name)
        if (!client) return undefined
        clients(here(context)).delete(context.tx, name)
        clientIds(here(context)).delete(context.tx, client.clientId)
        return undefined
      },
    }),
    path('oidc/client', {}, 'Applications that sign people in.').list({
      summary: 'List the clients; without secrets.',
      output: { keys: list('Names.') },
      async run(_input, context) {
        const all = await clients(here(context)).all(context.tx)
        const info = all.map(({ id, value }) => [id, settings(value)])
        return listReply(
          all.map(({ id }) => id),
          Object.fromEntries(info),
        )
      },
    }),
  ]
})()
