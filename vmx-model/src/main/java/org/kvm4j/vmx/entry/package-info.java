/** VM entry: the check table, loading of state, injection. */
@NullMarked
package org.kvm4j.vmx.entry;

import org.jspecify.annotations.NullMarked;
