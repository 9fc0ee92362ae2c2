/** Guest paging: entry formats and walkers of every mode, page-fault error codes. */
@NullMarked
package org.kvm4j.ept.paging;

import org.jspecify.annotations.NullMarked;
