// Package templates embeds what is written as data: web pages with their style
// and font, and policies. Nothing here is Go.
package templates

import "embed"

// FS holds web/ and policies/.
//
//go:embed web policies/*.yaml
var FS embed.FS
