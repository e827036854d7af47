import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts/panel.css";
import "./styles/parts/button.css";
import "./styles/parts/field.css";
import "./styles/parts/tone.css";
import "./styles/parts/table.css";
import "./styles/parts/facts.css";
import "./styles/parts/code.css";
import "./styles/parts/meter.css";
import "./styles/parts/absence.css";
import "./styles/parts/dialog.css";
import "./styles/parts/toast.css";
import "./styles/parts/ribbon.css";
import "./styles/side.css";
import "./styles/shell.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { cache } from "./api/queries";
import { App } from "./app";
import { applyTheme } from "./lib/settings";
import { follow } from "./live/source";

applyTheme();
follow();

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={cache}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
