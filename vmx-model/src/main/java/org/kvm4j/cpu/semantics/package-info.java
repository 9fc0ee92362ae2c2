/** What instructions do, stated once, by group. */
@NullMarked
package org.kvm4j.cpu.semantics;

import org.jspecify.annotations.NullMarked;
