// Lets httpYac run keyhold.http: resolves REST Client's references to responses, and uses $API as the address of the service.

const REFERENCE = /\{\{\s*(\w+)\.response\.(body|headers)\.([^\s}]+)\s*\}\}/g;

/** Returns the part of a named request's response that a reference names. */
function part(variables, reference, name, where, path) {
  // httpYac stores a response in the variable `<request name>Response`.
  const response = variables[`${name}Response`];
  const value =
    where === "headers"
      ? response?.headers?.[path.toLowerCase()]
      : path.split(/[.[\]]+/).filter((step) => step && step !== "$").reduce((node, step) => node?.[step], response?.parsedBody);
  if (value === undefined) throw new Error(`${reference} was not found`);
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
