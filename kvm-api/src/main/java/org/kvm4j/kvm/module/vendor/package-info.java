/** VMX and SVM behind one interface. */
@NullMarked
package org.kvm4j.kvm.module.vendor;

import org.jspecify.annotations.NullMarked;
