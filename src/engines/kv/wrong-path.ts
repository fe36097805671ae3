// KV version 2: what is said to those who speak version 1 to it. Clients and people know the text; nothing is read or written here.
import { path, type Reply, str } from '../../sdk/index.ts'

/** Answer to a read of `data`, `metadata` and the like without a path. */
export const rootReply: Reply = {
  status: 404,
  data: null,
  warnings: ['Non-listing operations on the root of a K/V v2 mount are not supported.'],
}

const wrongPath = (command: string): Reply => ({
  status: 404,
  data: null,
  warnings: [
    'Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. ' +
      `If using the Vault CLI, use 'vault kv ${command}' for this operation.`,
  ],
})

const anything = path('{path*}', { path: str('Any path that version 2 does not have.').required() }, 'No path of KV 2.')
const facts = { unlisted: true } as const

/** One answer a verb, on all paths that no other pattern takes. */
export const wrongPathOperations = [
  anything.read({ ...facts, summary: 'Say which path to read instead.', run: () => wrongPath('get') }),
  anything.list({ ...facts, summary: 'Say which path to list instead.', run: () => wrongPath('list') }),
  anything.scan({ ...facts, summary: 'Say which path to scan instead.', run: () => wrongPath('scan') }),
  anything.compute({ ...facts, summary: 'Say which path to write instead.', run: () => wrongPath('put') }),
  anything.patch({ ...facts, summary: 'Say which path to patch instead.', run: () => wrongPath('patch') }),
  anything.delete({ ...facts, summary: 'Say which path to delete instead.', run: () => wrongPath('delete') }),
]
