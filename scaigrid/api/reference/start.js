// Shows the document of this gateway. Addresses are relative, so that a proxy may serve the gateway below a path.
SwaggerUIBundle({
  url: new URL("docs/openapi.json", document.baseURI).href,
  domNode: document.getElementById("reference"),
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  filter: true,
  // Else it would send the document to a validator of Swagger's.
  validatorUrl: null,
});
