"use strict";

(() => {
  const session = document.getElementById("session");
  const signedOut = session.innerHTML;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();

  const ui = SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    // A token in the browser's storage would remain after the page is closed.
    persistAuthorization: false,
    tryItOutEnabled: true,
    responseInterceptor: (response) => {
      const issuesTokens = /\/api\/(token|token\/refresh|account\/password)$/.test(new URL(response.url).pathname);
      if (response.ok && issuesTokens) {
        ui.preauthorizeApiKey("bearer", JSON.parse(response.text).data.access_token);
      }
      return response;
    },
    onComplete: () => {
      ui.getStore().subscribe(() => {
        const signedIn = ui.authSelectors.authorized().has("bearer");
        if (session.classList.toggle("signed-in", signedIn) !== signedIn) return;
        const text = signedIn ? "Signed in. All requests of this page send the access token." : signedOut;
        if (session.innerHTML !== text) session.innerHTML = text;
      });
    },
  });
})();
