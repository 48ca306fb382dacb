import {html} from "./vendor/library.js"; html`<a>`;
