/** EPT and NPT: pointers, entry formats, walkers, violations, table builder. */
@NullMarked
package org.kvm4j.ept.nested;

import org.jspecify.annotations.NullMarked;
