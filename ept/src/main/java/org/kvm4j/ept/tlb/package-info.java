/** Translation caches with their tags, and every invalidation. */
@NullMarked
package org.kvm4j.ept.tlb;

import org.jspecify.annotations.NullMarked;
