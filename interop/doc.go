// Package interop holds no code of the product: its tests, behind the build
// tag interop, have programs that we did not write verify the demo's evidence.
// Run them with make interop.
package interop
