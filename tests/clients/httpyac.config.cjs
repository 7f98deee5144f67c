// What httpYac has to know to run keyhold.http: how REST Client refers to an answer, and that $API is the service's address.

const REFERENCE = /\{\{\s*(\w+)\.response\.(body|headers)\.([^\s}]+)\s*\}\}/g;

/** The part of a named request's answer that a reference leads to. */
function part(variables, reference, name, where, path) {
  // httpYac keeps an answer under the request's name and `Response`.
  const answer = variables[`${name}Response`];
  const value =
    where === "headers"
      ? answer?.headers?.[path.toLowerCase()]
      : path.split(/[.[\]]+/).filter((step) => step && step !== "$").reduce((node, step) => node?.[step], answer?.parsedBody);
  if (value === undefined) throw new Error(`${reference} leads to nothing`);
  return value;
}

module.exports = {
  configureHooks(api) {
    const replace = async (text, _type, { variables }) => {
      if (typeof text !== "string") return text;
      if (process.env.API) text = text.replaceAll("{{api}}", process.env.API);
      return text.replace(REFERENCE, (reference, ...groups) => part(variables, reference, ...groups));
    };
    api.hooks.replaceVariable.addHook("restClientReferences", replace, { before: ["host"] });
  },
};
