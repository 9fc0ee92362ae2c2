/** Suites that run against any backend, and the machinery that they share. */
@NullMarked
package org.kvm4j.conformance;

import org.jspecify.annotations.NullMarked;
