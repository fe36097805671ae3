// Scopes: what a client may ask to be told of somebody, as templates of claims.
import { invalid, list, listReply, type Operation, path, str } from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { checkedTemplate } from './claims.ts'
import { checkOidcName, openidScope, providers, referenced, scopes } from './records.ts'

const descriptionMax = 1_024

/** The operations on scopes. */
export const scopeOperations: readonly Operation[] = (() => {
  const one = path('oidc/scope/{name}', { name: str('Name of the scope.').required() }, 'A scope.')
  return [
    one.write({
      summary: 'Create or update a scope.',
      input: {
        template: str('Claims of the scope: JSON, or JSON in base64, with identity templates.'),
        description: str('What it is for.'),
      },
      exists: ({ name }, context) => scopes(here(context)).has(context.tx, name),
      async run({ name, template, description }, context) {
        if (name === openidScope) throw invalid(`the "${openidScope}" scope name is reserved`)
        checkOidcName(name)
        if ((description?.length ?? 0) > descriptionMax)
          throw invalid(`description is longer than ${descriptionMax} characters`)
        const before = await scopes(here(context)).get(context.tx, name)
        scopes(here(context)).put(context.tx, name, {
          template: template === undefined ? (before?.template ?? '') : checkedTemplate(template),
          description: description ?? before?.description ?? '',
        })
        return undefined
      },
    }),
    one.read({
      summary: 'Read a scope.',
      output: { template: str('Claims of the scope.'), description: str('What it is for.') },
      async run({ name }, context) {
        const scope = await scopes(here(context)).get(context.tx, name)
        return scope && { data: { ...scope } }
      },
    }),
    one.delete({
      summary: 'Delete a scope that no provider supports.',
      async run({ name }, context) {
        const users = (await providers(here(context)).all(context.tx)).filter(({ value }) =>
          value.scopesSupported.includes(name),
        )
        if (users.length > 0) throw referenced(`scope "${name}"`, 'providers', users)
        scopes(here(context)).delete(context.tx, name)
        return undefined
      },
    }),
    path('oidc/scope', {}, 'What clients may ask to be told.').list({
      summary: 'List the scopes.',
      output: { keys: list('Names.') },
      run: async (_input, context) => listReply(await scopes(here(context)).list(context.tx)),
    }),
  ]
})()
