// The cubbyhole: every token's own place for secrets, gone with the token. No token ever names a key of another one.
import { any, type Context, engine, invalid, list, listReply, path, str } from '../../sdk/index.ts'
import { pageFields, pageOptions } from '../../sdk/page.ts'
import { folderOf, readablePath, textOf, texts, writablePath } from '../../sdk/texts.ts'

/** The prefix, below the mount, of all that a token keeps; core deletes it with the token. `tokenKey` must not be empty. */
export function cubbyholePrefix(tokenKey: string): string {
  if (tokenKey === '' || tokenKey.includes('/')) throw new Error('cubbyhole: not the key of a token')
  return `${tokenKey}/`
}

const isService = ({ caller }: Context): boolean => caller.tokenType === 'service' && caller.tokenKey !== ''

/** The caller's own texts; batch tokens are not stored and so have none. Throws `invalid`. */
function own(context: Context) {
  if (!isService(context)) throw invalid("cubbyhole operations are only supported by 'service' type tokens")
  return texts(cubbyholePrefix(context.caller.tokenKey))
}

const place = path(
  '{path*}',
  { path: str('Where the secret lies in the cubbyhole of the token.').required() },
  'Secrets that only the token that wrote them can read; they go with the token.',
)

export const readOwn = place.read({
  summary: 'Read a secret of the calling token.',
  output: { '*': any('Every key as it was written.') },
  async run({ path }, context) {
    const text = await own(context).get(context.tx, readablePath(path))
    return text && { data: text }
  },
})

export const writeOwn = place.write({
  summary: 'Write a secret of the calling token; the whole body is the secret.',
  exists: ({ path }, context) => isService(context) && own(context).has(context.tx, path),
  run({ path }, context) {
    const { body } = context.request
    const id = writablePath(path)
    if (!body || Object.keys(body).length === 0) throw invalid('missing data fields')
    own(context).put(context.tx, id, textOf(body))
    return undefined
  },
})

export const deleteOwn = place.delete({
  summary: 'Delete a secret of the calling token.',
  run({ path }, context) {
    own(context).delete(context.tx, readablePath(path))
    return undefined
  },
})

export const listOwn = place.list({
  summary: 'List the secrets and folders of the calling token.',
  input: pageFields,
  output: { keys: list('Names; folders end in a slash.') },
  async run(input, context) {
    return listReply(await own(context).list(context.tx, folderOf(input.path), pageOptions(input)))
  },
})

/** The cubbyhole engine: one mount a namespace, made by core. */
export const cubbyhole = engine({
  type: 'cubbyhole',
  kind: 'secret',
  summary: 'A place of its own for every token.',
  operations: [readOwn, writeOwn, deleteOwn, listOwn],
  singleton: true,
})
