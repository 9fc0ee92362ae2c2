/** What the module and a guest that knows of it share: clocks, hypercalls, notes in memory. */
@NullMarked
package org.kvm4j.kvm.module.pv;

import org.jspecify.annotations.NullMarked;
