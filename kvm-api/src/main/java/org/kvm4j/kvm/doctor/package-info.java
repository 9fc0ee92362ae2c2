/**
 * What kernels there are, whether each can really run guests, by running a tiny one in each mode,
 * and what to do where it cannot. Works over the typed handles alone, so the same probes judge
 * every kernel.
 */
@NullMarked
package org.kvm4j.kvm.doctor;

import org.jspecify.annotations.NullMarked;
