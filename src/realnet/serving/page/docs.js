"use strict";
// Draws /openapi.json as a page; loads nothing else.

const make = (tag, text, ...inside) => {
  const node = document.createElement(tag);
  if (text !== null && text !== undefined) node.textContent = text;
  node.append(...inside);
  return node;
};

const refer = (name) => {
  const link = make("a", name);
  link.href = `#${name}`;
  link.addEventListener("click", () => { document.getElementById(name).open = true; });
  return link;
};

// A type in words, with links to the schemas it is made of.
const typed = (schema) => {
  if (!schema) return [];
  if (schema.$ref) return [refer(schema.$ref.split("/").pop())];
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.flatMap((choice, i) => [...(i ? [" or "] : []), ...typed(choice)]);
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" or ")];
  if (schema.prefixItems) return ["(", ...schema.prefixItems.flatMap((item, i) => [...(i ? [", "] : []), ...typed(item)]), ")"];
  if (schema.type === "array") return ["list of ", ...typed(schema.items)];
  return [schema.format === "binary" ? "file" : schema.type || "anything"];
};

const fields = (schema) => {
  const table = make("table", null, make("tr", null, make("th", "field"), make("th", "type"), make("th", "")));
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const notes = [];
    if ((schema.required || []).includes(name)) notes.push("required");
    if (field.default !== undefined && field.default !== null) notes.push(`default ${JSON.stringify(field.default)}`);
    for (const [key, sign] of [["minimum", "≥"], ["maximum", "≤"], ["maxLength", "length ≤"]]) {
      for (const part of [field, ...(field.anyOf || [])]) if (part[key] !== undefined) notes.push(`${sign} ${part[key]}`);
    }
    if (field.description) notes.push(field.description);
    table.append(make("tr", null, make("td", null, make("code", name)), make("td", null, ...typed(field)), make("td", notes.join("; "))));
  }
  return table;
};

const bodies = (content) => Object.entries(content || {}).flatMap(([kind, { schema }]) => [
  make("p", null, make("code", kind), ": ", ...(schema.properties ? [] : typed(schema))),
  ...(schema.properties ? [fields(schema)] : []),
]);

const drawRequest = (path, method, request) => {
  const title = make("summary", null, make("b", method.toUpperCase()), make("code", path), " ", make("span", request.description || request.summary || ""));
  const box = make("details", null, title);
  if (request.parameters) {
    const names = request.parameters.map((one) => `${one.name} (${one.in})`).join(", ");
    box.append(make("p", `Parameters: ${names}`));
  }
  if (request.requestBody) box.append(make("h4", "Request"), ...bodies(request.requestBody.content));
  const answers = make("table", null, make("tr", null, make("th", "status"), make("th", "answer"), make("th", "")));
  for (const [status, answer] of Object.entries(request.responses)) {
    const kinds = Object.values(answer.content || {}).flatMap(({ schema }) => typed(schema));
    answers.append(make("tr", null, make("td", status), make("td", null, ...kinds), make("td", answer.description)));
  }
  box.append(make("h4", "Answers"), answers);
  return box;
};

const draw = (described) => {
  document.getElementById("about").textContent = `${described.info.title} ${described.info.version}. ${described.info.description}`;
  const requests = document.getElementById("requests");
  requests.replaceChildren();
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const [method, request] of Object.entries(methods)) requests.append(drawRequest(path, method, request));
  }
  for (const [name, schema] of Object.entries((described.components || {}).schemas || {})) {
    const box = make("details", null, make("summary", null, make("code", name)), make("pre", schema.description || ""), fields(schema));
    box.id = name;
    document.getElementById("schemas").append(box);
  }
};

fetch("openapi.json")
  .then((answer) => answer.json())
  .then(draw)
  .catch((error) => { document.getElementById("requests").replaceChildren(make("p", `openapi.json cannot be read (${error}).`)); });
